"""Segments and suppression lists on an S3 server that fails, is slow, or refuses, while they are read."""

from __future__ import annotations

import io
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_fixtures import export_dag, people

from airflow_provider_segexport.stages import read

pytestmark = pytest.mark.airflow

CONN = "segment_store"
CALLER_WAITS_S = 0.25
SERVER_WAITS_S = 1.0


class Failing:
    """Answers requests for some keys in its own way, and passes on all others."""

    def __init__(self, app):
        self.app, self.key, self.answer, self.struck = app, "", "", 0
        self.over = threading.Event()

    def fail(self, key: str, answer: str) -> None:
        self.key, self.answer, self.struck = key, answer, 0
        self.over.clear()

    def heal(self) -> None:
        self.key = ""
        self.over.set()

    def __call__(self, environ, start_response):
        url = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        if not self.key or self.key not in url or environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return self.app(environ, start_response)
        self.struck += 1
        if self.answer == "slow":
            self.over.wait(SERVER_WAITS_S)
            return self.app(environ, start_response)
        if self.answer == "cut":
            start_response("200 OK", [("Content-Length", "100000"), ("Connection", "close")])
            return [b"PAR1"]
        code = {"500": "InternalError", "503": "SlowDown", "403": "AccessDenied"}[self.answer]
        body = f"<Error><Code>{code}</Code><Message>key AKIASECRET</Message></Error>".encode()
        start_response(
            f"{self.answer} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


@pytest.fixture(scope="module")
def server():
    from s3 import s3_server

    with s3_server() as running:
        running.app = Failing(running.app)
        yield running


@pytest.fixture
def bucket(server, request, monkeypatch):
    """A bucket with a segment of ten and a suppression list of one, as Airflow opens it through a connection."""
    import s3fs
    from airflow.sdk.io import store
    from s3 import KEYS, new_bucket, s3_client

    server.app.heal()
    endpoint, name = f"http://127.0.0.1:{server.port}", f"b{abs(hash(request.node.name))}"
    new_bucket(endpoint, name)
    stop = pa.table({"email": ["person3@example.com"]})
    with s3_client(endpoint) as client:
        for key, table in {"seg/a.parquet": pa.Table.from_pandas(people(10)), "stop/stop.parquet": stop}.items():
            content = io.BytesIO()
            pq.write_table(table, content)
            client.put_object(Bucket=name, Key=key, Body=content.getvalue())
    patience = CALLER_WAITS_S if "slow" in request.node.name else 30
    config = {"retries": {"total_max_attempts": 1}, "read_timeout": patience}
    fs = s3fs.S3FileSystem(
        **KEYS, client_kwargs={"endpoint_url": endpoint}, config_kwargs=config, skip_instance_cache=True
    )
    monkeypatch.setattr(type(fs), "retries", 1)
    monkeypatch.setitem(store._STORE_CACHE, f"s3-{CONN}", store.ObjectStore("s3", CONN, fs))
    return name


def exporting(stage, bucket, dag_id):
    conn_id = stage.connection("campaign_monitor")
    where = f"s3://{CONN}@{bucket}"
    return export_dag(
        dag_id, stage.folder, conn_id=conn_id, segment=f"{where}/seg", suppression_list=f"{where}/stop", retries=2
    )


KEYS_OF = {
    "listing": "prefix=seg",
    "footer": "seg/a.parquet",
    "rows": "seg/a.parquet",
    "suppression_list": "stop/stop.parquet",
    "listing of suppression": "prefix=stop",
}


def strike(server, monkeypatch, case):
    """Fail from the first request on, or only when the rows of the segment are read."""
    part, answer = case
    if part != "rows":
        server.app.fail(KEYS_OF[part], answer)
        return
    plain = read.translate_read_errors

    def readable(*arguments):
        server.app.fail(KEYS_OF[part], answer)
        return plain(*arguments)

    monkeypatch.setattr(read, "translate_read_errors", readable)


@pytest.mark.parametrize(
    "case",
    [
        ("listing", "503"),
        ("listing", "slow"),
        ("footer", "500"),
        ("rows", "503"),
        ("rows", "slow"),
        ("rows", "cut"),
        ("suppression_list", "503"),
        ("suppression_list", "cut"),
        ("listing of suppression", "500"),
    ],
    ids=" ".join,
)
def test_a_store_that_fails_for_a_while_costs_an_attempt(stage, server, bucket, monkeypatch, case):
    """Airflow tries again, and the next attempt exports; the store's own words stay out."""
    run = stage.begin(dag := exporting(stage, bucket, "_".join(case).replace(" ", "_")))
    with monkeypatch.context() as patched:
        strike(server, patched, case)
        assert "up_for_retry" == run.go(dag)
        assert server.app.struck
        server.app.heal()
    assert stage.nothing_was_sent()
    assert "AKIASECRET" not in str(run.errors[0])
    assert "success" == run.go(dag)
    assert {f"person{n}@example.com" for n in range(10) if n != 3} == set(stage.members("campaign_monitor"))


@pytest.mark.parametrize("part", KEYS_OF)
def test_a_store_that_refuses_the_caller_is_final(stage, server, bucket, monkeypatch, part):
    """No other attempt is made, because a person has to give the right."""
    run = stage.begin(dag := exporting(stage, bucket, f"refused_{part.replace(' ', '_')}"))
    strike(server, monkeypatch, (part, "403"))
    assert "failed" == run.go(dag), run.errors
    assert "Permission denied" in str(run.errors[0])
    assert "To fix" in str(run.errors[0])
    assert "AKIASECRET" not in str(run.errors[0])
    assert stage.nothing_was_sent()


@pytest.mark.parametrize("key", ["seg/a.parquet", "stop/stop.parquet"])
def test_a_damaged_object_is_final(stage, server, bucket, key):
    """A second reader gets the same bytes."""
    from s3 import s3_client

    with s3_client(f"http://127.0.0.1:{server.port}") as client:
        content = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        client.put_object(Bucket=bucket, Key=key, Body=content[:40] + bytes(60) + content[100:])
    run = stage.begin(dag := exporting(stage, bucket, f"damaged_{key[:3]}"))
    assert "failed" == run.go(dag), run.errors
    assert key in str(run.errors[0])
    assert "To fix" in str(run.errors[0])
    assert stage.nothing_was_sent()
