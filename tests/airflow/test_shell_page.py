"""The output on the page about the shell is what the commands print."""

from __future__ import annotations

import itertools
import json
import re
import shlex

import pytest
from airflow.cli.simple_table import AirflowConsole
from airflow_fixtures import people
from docs.pages import DOCS, blocks

pytestmark = pytest.mark.airflow

PAGE = DOCS / "shell.md"


def squeezed(text: str) -> list[str]:
    """The lines without what differs from run to run: times, hashes, and the width of columns."""
    text = re.sub(r"\d{4}-\d{2}-\d{2}T\d{2}[:_]\d{2}[:_]\d{2}(\.\d+)?(\+00:00|_00_00)", "TIME", text)
    text = re.sub(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", "TIME", text)
    text = re.sub(r"~[0-9a-f]{8}|\b[0-9a-f]{8}(?= )", "HASH", text)
    text = re.sub(r"\d+\.\d s", "SECONDS", text)
    lines = [re.sub(r"=+", "=", re.sub(r" +", " ", line)).strip() for line in text.splitlines()]
    return [line for line in lines if line]


def wide(begin):
    """Return the console's `__init__` for a terminal in whose columns the longest temporary path fits."""

    def begin_wide(console, *args, **options):
        begin(console, *args, **options)
        console._width = 300

    return begin_wide


def test_every_output_is_that_of_the_command_before_it(stage, command, monkeypatch):
    """A segment with a few bad rows, before and after a DAG run exports it."""
    monkeypatch.setattr(AirflowConsole, "__init__", wide(AirflowConsole.__init__))
    rows = people(400)
    rows.loc[[7, 90], "email"] = "no address"
    rows.loc[[20, 21, 22, 23, 24, 25, 26], "email"] = rows.loc[30, "email"]
    stage.segment(rows, "high_value")
    stage.connection("dotdigital", conn_id="newsletter")
    typed = [block for block in blocks(PAGE) if block.language in {"console", "text"}]
    pairs = [(first, second) for first, second in itertools.pairwise(typed) if second.language == "text"]
    shown = []
    for number, (console, text) in enumerate(pairs):
        if number == 1:
            path = stage.folder / "high_value.parquet"
            assert stage.export(conn_id="newsletter", dag_id="export_high_value", segment=str(path)).state == "success"
            [run] = json.loads(command("runs", "-o", "json")[1])
        first = console.text.replace("\\\n", " ").splitlines()[0].replace("/lake/", f"{stage.folder}/")
        arguments = [run["id"] if word == "5f3a91c2" else word for word in shlex.split(first)[2:]]
        code, output = command(*arguments)
        assert code == 0, output
        shown.append(output.replace(str(stage.folder), "/lake"))
        assert squeezed(shown[-1]) == squeezed(text.text), shown[-1]
    assert len(shown) == 4
