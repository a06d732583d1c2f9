"""The recipe with state and segments in a bucket: its policy is enough, and a role is the only credential."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import pytest
import s3fs
from airflow.sdk import Connection
from airflow.sdk.io import store
from docs.recipes import PAGE, frame
from s3 import new_bucket, s3_client, s3_server

from airflow_provider_segexport.segment_files.table_folders import LOG_FOLDERS, SIGN_FILES

pytestmark = pytest.mark.airflow


class Policy:
    """An S3 server that refuses what a policy does not allow, and every call without a role's credentials."""

    def __init__(self, app, policy):
        self.app, self.policy, self.refused, self.allowed = app, policy, [], set()

    def __call__(self, environ, start_response):
        call = action_of(environ)
        if call is None:  # of STS, by which the role is taken
            return self.app(environ, start_response)
        action, resource = call
        token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
        if token and any(allows(statement, action, resource) for statement in self.policy["Statement"]):
            self.allowed.add(action)
            return self.app(environ, start_response)
        self.refused.append((*call, bool(token)))
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        if environ["REQUEST_METHOD"] == "HEAD":
            return []  # the client would take a body for the beginning of the next response
        return [b"<Error><Code>AccessDenied</Code></Error>"]


def action_of(environ):
    """Return the action and the resource of a call as IAM names them; None for a call of STS."""
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    method, query = environ["REQUEST_METHOD"], environ["QUERY_STRING"]
    if not bucket:
        return None
    if not key and method in {"GET", "HEAD"}:
        return "s3:ListBucket", f"arn:aws:s3:::{bucket}"
    if method == "POST" and query.startswith("delete"):
        return "s3:DeleteObject", f"arn:aws:s3:::{bucket}/{STATE}x"  # the keys are in the body
    delete = "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
    actions = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "DELETE": delete}
    return actions.get(method, "s3:PutObject"), f"arn:aws:s3:::{bucket}/{key}"


def allows(statement, action, resource):
    """Return whether a statement allows an action on a resource."""
    actions, resources = (
        [value] if isinstance(value, str) else value for value in (statement["Action"], statement["Resource"])
    )
    return action in actions and any(fnmatchcase(resource, pattern) for pattern in resources)


STATE = "segexport/"


@pytest.fixture
def role_server(data, monkeypatch):
    """S3 with the buckets and the policy of the recipe; the process has a role, and no key."""
    with s3_server() as server:
        endpoint = f"http://127.0.0.1:{server.port}"
        for bucket in ("company-airflow", "company-lake"):
            new_bucket(endpoint, bucket)
        frame(20).to_parquet(data / "part-0.parquet", index=False)
        with s3_client(endpoint) as client:
            client.upload_file(str(data / "part-0.parquet"), "company-lake", "newsletter/2026-01-02/part-0.parquet")
        server.app = Policy(server.app, json.loads(PAGE["policy.json"].text))
        token = data / "token"
        token.write_text("of the service account")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/airflow-segexport")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        yield server


def test_state_and_segments_in_s3_with_a_role(stage, recipe, role_server, monkeypatch):
    """The policy is enough for two runs of a mirror, one of them with a removal; no call has a key of its own."""
    settings = dict(
        re.findall(r"^export (\w+)='?(.*?)'?$", PAGE["environment of every Airflow process"].text, re.MULTILINE)
    )
    connection = Connection.from_json(settings.pop("AIRFLOW_CONN_AWS_DEFAULT"), conn_id="aws_default")
    assert ("aws", None, None) == (connection.conn_type, connection.login, connection.password)
    fs = s3fs.S3FileSystem(skip_instance_cache=True)  # as Amazon's provider makes it for a connection without a key
    monkeypatch.setitem(store._STORE_CACHE, "s3-aws_default", store.ObjectStore("s3", "aws_default", fs))
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", settings["AIRFLOW__SEGEXPORT__STATE_PATH"])
    stage.connection("campaign_monitor", "campaign_monitor_default")
    dag = recipe("bucket_export")
    dag.get_task("export").retries = 0  # a refused call fails the test at once
    first = stage.run(dag, logical_date=datetime(2026, 1, 2, tzinfo=UTC))
    assert ("success", []) == (first.state, first.errors)
    assert len(stage.members("campaign_monitor")) == 20
    policy, role_server.app = role_server.app, role_server.app.app
    frame(19).to_parquet(stage.folder / "data" / "part-0.parquet", index=False)
    with s3_client(os.environ["AWS_ENDPOINT_URL"]) as client:
        path = str(stage.folder / "data" / "part-0.parquet")
        client.upload_file(path, "company-lake", "newsletter/2026-01-03/part-0.parquet")
    role_server.app = policy
    second = stage.run(dag, logical_date=datetime(2026, 1, 3, tzinfo=UTC))
    assert ("success", []) == (second.state, second.errors)
    assert 1 == second.summary()["removals"]["removed"]
    signs = (*LOG_FOLDERS, *SIGN_FILES)
    above = {("s3:GetObject", f"arn:aws:s3:::company-lake/{name}", True) for name in signs}
    assert set(policy.refused) <= above  # whether the folder above the segment is a table: the answer may be no access
    assert {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"} == policy.allowed
