"""`airflow segexport release AUDIENCE --export NAME`."""

from __future__ import annotations

import sys
from argparse import Namespace

import pytest

from airflow_provider_segexport.cli import release as command
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.history import latest, ledger_paths

pytestmark = pytest.mark.airflow


@pytest.fixture
def give(stage, monkeypatch):
    """An export of 4 people at dotdigital by `first.export`, and a function that gives the command."""
    stage.segment(4)
    run = stage.export(conn_id=stage.connection("dotdigital"), dag_id="first")
    assert "success" == run.state, run.errors

    def go(answer=None, **more):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: answer is not None, raising=False)
        monkeypatch.setattr("builtins.input", lambda _: answer)
        arguments = {"audience": stage.audience("dotdigital"), "export": "first.export", "to": None, "keep": False}
        command.release(Namespace(**{**arguments, "dry_run": False, "yes": False, **more}))

    return go


def sharers():
    [path] = ledger_paths(state_path())
    return [name for name in AudienceState.of(path).sharers if name]


def test_it_says_what_happens_to_the_people_asks_and_does_it(give, capsys):
    """Retired, and the next `mirror` run takes them out."""
    give("yes")
    shown = capsys.readouterr().out
    assert "'first.export' is retired. It holds 4 people, 0 of them with other exports." in shown
    assert "The other 4 are removed by the next `mirror` run" in shown
    assert "From now on the audience has no owner" in shown
    assert "Released" in shown
    assert [] == sharers()


def test_the_audience_by_its_name(give, capsys):
    """The name at the vendor, as its last run has read it; another name is refused with the audiences there are."""
    [ledger] = ledger_paths(state_path())
    name = latest(ledger)["audience_name"]
    assert name
    give("yes", audience=f"name:{name}")
    assert [] == sharers()
    with pytest.raises(SystemExit, match="No audience 'name:Other' has a ledger"):
        give("yes", audience="name:Other")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"to": "second.export"}, "hands over to 'second.export', which holds all of its 4 people"),
        ({"keep": True}, "The other 4 stay in the audience for good"),
    ],
)
def test_a_dry_run_only_looks(give, capsys, more, expected):
    """With --dry-run."""
    give(dry_run=True, **more)
    assert expected in capsys.readouterr().out
    assert ["first.export"] == sharers()


@pytest.mark.parametrize("answer", ["", "n"])
def test_anything_but_yes_changes_nothing(give, capsys, answer):
    """The question has no as its default."""
    give(answer)
    assert "Nothing was changed." in capsys.readouterr().out
    assert ["first.export"] == sharers()


def test_without_a_terminal_it_needs_yes(give):
    """A script says --yes."""
    with pytest.raises(SystemExit, match="give --yes"):
        give()
    give(yes=True)
    assert [] == sharers()


def test_the_next_export_goes_on_where_the_former_one_was(stage, give):
    """After the handover, no row is sent again."""
    give(yes=True, to="second.export")
    run = stage.export(conn_id=stage.connection("dotdigital"), dag_id="second")
    assert "success" == run.state, run.errors
    assert 4 == run.summary()["counts"]["unchanged"]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"audience": "nowhere"}, "No audience 'nowhere' has a ledger. Audiences: dotdigital/"),
        ({"export": "x"}, "The export 'x' does not use this audience. Exports that do: first.export"),
    ],
)
def test_what_does_not_exist_is_named(give, more, error):
    """With what there is."""
    with pytest.raises(SystemExit, match=error):
        give(yes=True, **more)


def test_airflows_command_line_knows_it(airflow_db):
    """With its switches, as a shell gives them."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(["segexport", "release", "349394", "--export", "a.b", "--to", "c.d", "--yes"])
    assert ("349394", "a.b", "c.d") == (arguments.audience, arguments.export, arguments.to)
    assert (False, False, True) == (arguments.keep, arguments.dry_run, arguments.yes)
