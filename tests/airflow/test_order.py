"""Older never overwrites newer: a snapshot older than what the ledger knows changes nothing at the vendor."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

NEWER, OLDER = "2026-03-02T00:00:00+00:00", "2026-03-01T00:00:00+00:00"


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_older_snapshot_is_skipped_and_nothing_is_sent(stage, vendor):
    """After the newer day the older one's task is skipped, and the audience stays as it was."""
    conn_id = stage.connection(vendor)
    stage.segment(20)
    stage.export(conn_id=conn_id, as_of=NEWER)
    before = len(stage.sent(vendor))
    stage.segment(25)
    run = stage.export(conn_id=conn_id, as_of=OLDER)
    assert "skipped" == str(run.task().state)
    assert before == len(stage.sent(vendor))
    assert 20 == len(stage.members(vendor))


def test_an_older_snapshot_fails_where_that_is_asked_for(stage):
    """With `on_stale="fail"` the task fails, and its message names both times."""
    conn_id = stage.connection("campaign_monitor")
    stage.segment(3)
    stage.export(conn_id=conn_id, as_of=NEWER)
    run = stage.export(conn_id=conn_id, as_of=OLDER, on_stale="fail")
    assert "failed" == run.state
    assert OLDER in run.error
    assert NEWER in run.error


def test_days_in_their_order_end_in_the_newest_state(stage):
    """Oldest to newest, each day goes out; the last one is what the vendor holds. The same day again is no older."""
    conn_id = stage.connection("dotdigital")
    for day, count in ((OLDER, 5), (NEWER, 8), (NEWER, 8)):
        stage.segment(count)
        assert "success" == stage.export(conn_id=conn_id, as_of=day).state
    assert 8 == len(stage.members("dotdigital"))


def test_an_unchanged_day_counts_all_the_same(stage):
    """A day without changes moves the ledger's time on: a day before it is older from then on."""
    conn_id = stage.connection("campaign_monitor")
    stage.segment(5)
    stage.export(conn_id=conn_id, as_of="2026-02-27T00:00:00+00:00")
    stage.export(conn_id=conn_id, as_of=NEWER)
    stage.segment(9)
    run = stage.export(conn_id=conn_id, as_of="2026-02-28T00:00:00+00:00")
    assert "skipped" == str(run.task().state)
    assert 5 == len(stage.members("campaign_monitor"))
