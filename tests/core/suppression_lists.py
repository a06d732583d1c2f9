"""Suppression lists that are read and matched against the people of a segment."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest
from core.factories import shared, written

from airflow_provider_segexport.stages import suppression
from airflow_provider_segexport.storage.paths import local_path

PLAIN, CODED, UNICODE = "jane@example.com", "jane@xn--bcher-kva.de", "jane@bücher.de"
PEOPLE = [PLAIN, CODED, "o'brien@example.com", "joe@example.com"]
KINDS = ("md5", "sha1", "sha256")


def people_of_segment(people):
    """The people of a segment, as cleaning leaves them."""
    rows = {"row": list(range(len(people))), "email": pa.array(people, pa.string())}
    shared().table("suppression_test_people", pa.table(rows))
    shared().run("create or replace view valid_email_rows as from suppression_test_people")


@pytest.fixture
def listed(tmp_path):
    """Read a suppression list of these columns, and match it against the people."""

    def go(columns, people=PEOPLE):
        sql = shared()
        people_of_segment(people)
        path = local_path(str(written(tmp_path / "stop.parquet", columns)))
        (tally,) = suppression.match(sql, suppression.read(sql, [("stop", [(path, "stop.parquet")])]))
        assert tally.read == tally.blank + tally.understood + tally.not_understood
        return tally, {email for (email,) in sql.rows("from suppressed_emails")}

    return go


def digest(kind, text):
    return hashlib.new(kind, text.encode()).digest()
