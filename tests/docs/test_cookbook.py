"""The recipes of the cookbook, run through Airflow against the simulator, with files as other tools write them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from airflow.dag_processing.dagbag import DagBag
from docs.pages import DOCS, blocks

pytestmark = pytest.mark.airflow

PAGE = {block.title: block for block in blocks(DOCS / "cookbook.md") if block.title}


@pytest.fixture
def data(stage):
    """The folder that the recipes call `/data`."""
    folder = stage.folder / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def recipe(stage, data):
    """Return the DAG of a recipe by its file, with its other files written."""

    def load(name):
        path = stage.folder / name
        path.write_text(PAGE[f"dags/{name}.py"].text.replace("/data", str(data)))
        bag = DagBag(str(path.rename(path.with_suffix(".py"))))
        assert {} == bag.import_errors
        return bag.dags[name]

    return load


def frame(count, *, upper=False):
    columns = {"email": [f"p{n}@example.com" for n in range(count)], "first_name": [f"First{n}" for n in range(count)]}
    return pd.DataFrame({name.upper() if upper else name: values for name, values in columns.items()})


def bigquery(folder):
    """Shards with twelve digits."""
    frame(5, upper=True)[:3].to_parquet(folder / "000000000000.parquet", index=False)
    frame(5, upper=True)[3:].to_parquet(folder / "000000000001.parquet", index=False)


def snowflake(folder):
    """One file for each thread, compressed."""
    frame(5, upper=True)[:2].to_parquet(folder / "data_0_0_0.snappy.parquet", index=False, compression="snappy")
    frame(5, upper=True)[2:].to_parquet(folder / "data_0_1_0.snappy.parquet", index=False, compression="snappy")


def spark(folder):
    """Parts, a marker, checksums, and an empty part."""
    job = "b2c4-4f7e-c000.snappy.parquet"
    frame(5, upper=True).to_parquet(folder / f"part-00000-{job}", index=False)
    frame(5, upper=True)[:0].to_parquet(folder / f"part-00001-{job}", index=False)
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / "._SUCCESS.crc").write_bytes(b"crc\0")
    (folder / f".part-00000-{job}.crc").write_bytes(b"crc\0")


@pytest.mark.parametrize("write", [bigquery, snowflake, spark], ids=lambda write: write.__name__)
def test_segments_that_a_warehouse_writes(write, stage, data, recipe):
    """Every row of the folder is exported once; what is no segment file is passed over."""
    folder = data / "high_value"
    folder.mkdir()
    write(folder)
    stage.connection("dotdigital", "dotdigital_default")
    run = stage.run(recipe("warehouse_export"))
    assert "success" == run.state
    assert 5 == run.summary()["counts"]["delivered"]


def test_many_audiences_from_a_yaml_file(stage, data, recipe):
    """Each entry is a task with its own audience and owner; another entry's failure stops no other."""
    (data / "audiences.yaml").write_text(PAGE["/data/audiences.yaml"].text.replace("/data", str(data)))
    frame(4).to_parquet(data / "newsletter.parquet", index=False)
    frame(2).to_parquet(data / "vip.parquet", index=False)
    stage.connection("campaign_monitor", "campaign_monitor_default")
    stage.connection("omnisend", "omnisend_default")
    run = stage.run(recipe("audiences"))
    assert "success" == run.state
    summaries = [run.summary(map_index=number) for number in range(2)]
    assert [4, 2] == [summary["counts"]["delivered"] for summary in summaries]
    assert ["audiences.newsletter", "audiences.vip"] == [summary["export_name"] for summary in summaries]
    assert ["mirror", "upsert"] == [summary["mode"] for summary in summaries]
    assert "vip" == summaries[1]["audience"]


def test_a_field_that_is_no_argument_stops_the_audiences(stage, data, recipe):
    """A misspelt field exports nothing, instead of something else than its author meant."""
    (data / "audiences.yaml").write_text("- {name: x, conn_id: omnisend_default, segmnet: /x.parquet}")
    run = stage.run(recipe("audiences"))
    assert "failed" == run.state
    assert "segmnet" in str(run.errors[0])
    assert stage.nothing_was_sent()


def test_a_suppression_list_from_a_table(stage, data, recipe):
    """A person in the table is withheld; a person who is added later is withheld from then on."""
    frame(4).to_parquet(data / "newsletter.parquet", index=False)
    with closing(sqlite3.connect(data / "crm.sqlite")) as connection, connection:
        connection.execute("create table do_not_mail (email text)")
        connection.execute("insert into do_not_mail values ('P1@example.com')")
    stage.connection("constant_contact", "constant_contact_default")
    run = stage.run(recipe("suppressed_export"))
    assert ("success", []) == (run.state, run.errors)
    counts = run.summary()["counts"]
    assert (3, 1) == (counts["delivered"], counts["withheld"])
    assert "p1@example.com" not in stage.members("constant_contact")


def test_an_erasure_on_request(stage, data, recipe):
    """The people of the file are out of the audience, and no address is in what the task returns."""
    frame(4).to_parquet(data / "newsletter.parquet", index=False)
    stage.connection("dotdigital", "dotdigital_default")
    stage.export(
        conn_id="dotdigital_default", segment=str(data / "newsletter.parquet"), field_mapping={"email": "email"}
    )
    assert "p2@example.com" in stage.members("dotdigital")
    (data / "privacy").mkdir()
    (data / "privacy" / "requests.txt").write_text("p2@example.com\n")
    run = stage.run(recipe("erasure"))
    assert ("success", []) == (run.state, run.errors)
    assert set(stage.members("dotdigital")) == {"p0@example.com", "p1@example.com", "p3@example.com"}
    assert "example.com" not in str(run.summary("erase"))


def test_every_recipe_is_run():
    """A recipe without a test would be a promise."""
    tested = {"warehouse_export", "audiences", "suppressed_export", "erasure"}
    assert {f"dags/{name}.py" for name in tested} | {"/data/audiences.yaml"} == set(PAGE)
