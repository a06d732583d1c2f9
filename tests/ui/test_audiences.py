"""Audiences as their newest states and histories describe them, without Airflow."""

from __future__ import annotations

import json

import pytest
from ui_factories import NOW, ledger_path, stories, story, summary, write_run

from airflow_provider_segexport.plugins import audiences
from airflow_provider_segexport.plugins.audiences import AudienceKey, RunIdentity
from airflow_provider_segexport.storage.history import latest_file


def write_latest(ledger, content):
    file = latest_file(ledger)
    file.parent.mkdir(parents=True)
    file.write_text(content)


def everything(identity: RunIdentity) -> bool:
    return True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exports/export/manual__1/3", RunIdentity("exports", "export", "manual__1", 3)),
        ("exports/group.export/a/b/c/0", RunIdentity("exports", "group.export", "a/b/c", 0)),
        ("hook/omnisend_default/1795600000", RunIdentity(conn_id="omnisend_default", call="1795600000")),
        (
            "hook/omnisend_default/1795600000-ab12cd/0",
            RunIdentity(conn_id="omnisend_default", call="1795600000-ab12cd"),
        ),
        ("exports/export/manual__1/3.2", RunIdentity("exports", "export", "manual__1", 3, call="2")),
        ("hook/export/manual__1/0", RunIdentity("hook", "export", "manual__1", 0)),
        ("exports/export/manual__1/3.x", None),
        ("exports/export/x", None),
        ("exports/export/manual__1/three", None),
        ("", None),
    ],
)
def test_who_ran_is_read_from_its_words(text, expected):
    """A run id may hold slashes; a DAG id and a task id cannot."""
    assert expected == RunIdentity.read(text)


def test_an_empty_root_has_no_audiences(tmp_path):
    """Before the first export there is not even a folder."""
    assert [] == audiences.list_audiences(tmp_path / "nothing", everything)


def test_an_audience_is_listed_with_its_runs_oldest_first(tmp_path):
    """The newest state alone is enough for the list."""
    story(0, runs=5, root=tmp_path)
    (audience,) = audiences.list_audiences(tmp_path, everything)
    assert ("Newsletter", "Campaign Monitor", "list0000") == (audience.name, audience.vendor, audience.audience)
    assert 5 == len(audience.points)
    assert sorted(point.ended_at for point in audience.points) == [point.ended_at for point in audience.points]
    assert NOW == audience.newest.ended_at


def test_many_audiences_are_all_listed(tmp_path):
    """Cards are read side by side."""
    stories(tmp_path, 60, runs=2)
    assert 60 == len(audiences.list_audiences(tmp_path, everything))


def test_an_audience_of_another_dag_is_not_listed(tmp_path):
    """A run that a user may not see in Airflow is not listed either."""
    stories(tmp_path, 6, runs=2)
    listed = audiences.list_audiences(tmp_path, lambda identity: identity.dag_id == "exports_3")
    assert ["exports_3"] == [listed_audience.newest.identity.dag_id for listed_audience in listed]


def test_a_shared_audience_is_listed_with_the_own_runs_only(tmp_path):
    """Two DAGs feed it; who may see one of them sees its runs, and neither connection nor opt-outs of the other's."""
    for number, dag_id in enumerate(("mine", "theirs")):
        report = summary(run=f"{dag_id}/export/r{number}/0", ended_at=NOW + number, run_folder=f"/{number}")
        write_run(tmp_path, report, members=10 + number)
    (audience,) = audiences.list_audiences(tmp_path, lambda identity: identity.dag_id == "mine")
    assert ["mine"] == [point.identity.dag_id for point in audience.points]
    assert ("", {}) == (audience.conn_id, dict(audience.optouts))
    history = audiences.run_points(ledger_path(tmp_path, summary()), lambda identity: identity.dag_id == "mine")
    assert ["mine"] == [point.identity.dag_id for point in history]


@pytest.mark.parametrize(
    "newest",
    [
        "",
        "{",
        "[]",
        '"text"',
        json.dumps({"runs": "many"}),
        json.dumps({"runs": [1, None, "x", {"run": 5}, {"run": "a/b"}]}),
    ],
)
def test_a_newest_state_that_is_none_is_passed_over(tmp_path, newest):
    """Half written, of another version, or made by a hand."""
    folder = ledger_path(tmp_path, summary())
    folder.mkdir(parents=True)
    write_latest(folder, newest)
    assert [] == audiences.list_audiences(tmp_path, everything)


def test_a_record_of_wrong_types_becomes_noughts(tmp_path):
    """No page falls over a number that is none."""
    folder = ledger_path(tmp_path, summary())
    folder.mkdir(parents=True)
    point = {"run": "a/b/c/0", "ended_at": "yesterday", "counts": [1], "members": float("nan"), "removals": "no"}
    write_latest(folder, json.dumps({"runs": [point], "optouts": 3, "audience_name": {"a": 1}}))
    (audience,) = audiences.list_audiences(tmp_path, everything)
    assert (0, 0.0, 0, 0) == (
        audience.newest.members,
        audience.newest.ended_at,
        audience.newest.removed,
        audience.newest.counts["profiles"],
    )
    assert "aa11" == audience.name


@pytest.mark.parametrize(
    "key",
    [
        AudienceKey("campaign_monitor", "..", "x"),
        AudienceKey("campaign_monitor", "a", "../../etc"),
        AudienceKey("campaign_monitor", "a", "b/c"),
        AudienceKey("campaign_monitor", "a", ""),
        AudienceKey("..", "a", "b"),
        AudienceKey("campaign_monitor", "a", "b\0"),
        AudienceKey("campaign_monitor", "a", ".hidden"),
        AudienceKey("campaign_monitor", "a", "b\n"),
    ],
)
def test_a_key_that_is_no_folders_name_leads_nowhere(tmp_path, key):
    """No text of an address is joined to a path unless it is a plain name."""
    assert None is key.path(tmp_path)


def test_a_key_finds_the_ledger_that_it_was_made_of(tmp_path):
    """Also where the vendor's id had to be made safe."""
    report = summary(vendor="omnisend", account="Müller & Söhne / EU", audience="a tag: with words")
    write_run(tmp_path, report, members=1)
    (audience,) = audiences.list_audiences(tmp_path, everything)
    assert ledger_path(tmp_path, report) == audience.key.path(tmp_path)
