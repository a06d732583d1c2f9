"""Arguments of commands that are given and empty, as an unset variable of a shell makes them."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.airflow

COMMANDS = [
    ("repair", "", "--yes"),
    ("repair", " "),
    ("runs", ""),
    ("release", "", "--export", "a.b", "--yes"),
    ("release", "349394", "--export", "", "--yes"),
    ("release", "349394", "--export", "a.b", "--to", "", "--yes"),
    ("undo", "", "349394", "--yes"),
    ("undo", "crm", "", "--yes"),
    ("undo", "crm", "349394", "--export", "", "--yes"),
    ("verify", "crm", ""),
    ("audiences", ""),
    ("prune", "--older-than", ""),
    ("probe", "crm", "--audience", "", "--address", "me+{n}@my-domain.com", "--yes"),
    ("probe", "crm", "--only", "", "--list"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_an_empty_argument_is_not_one_that_was_left_out(command, arguments):
    """It would mean all audiences, any export, or no successor. The command line is wrong, and nothing happens."""
    code, text = command(*arguments)
    assert code == 2
    assert "the value is empty. To fix: give a value, or leave the option out" in text


def test_options_that_exclude_each_other_are_a_wrong_command_line(command):
    """As `rejects --csv --limit`."""
    code, text = command("release", "349394", "--export", "a.b", "--to", "c.d", "--keep")
    assert (code, "--keep and --to exclude each other" in text) == (2, True)


@pytest.mark.parametrize("option", ["--sample=0", "--sample=-5", "--ledger-version=-1"])
def test_a_number_that_is_none_is_a_wrong_command_line(command, option):
    """As an age that `prune` cannot read."""
    name = "undo" if "version" in option else "verify"
    assert command(name, "crm", "349394", option)[0] == 2


@pytest.mark.parametrize("share", ["2", "-0.1", "nan", "99%", ""])
def test_a_share_is_a_number_up_to_one(command, share):
    """The error says what a share looks like."""
    code, text = command("verify", "crm", "349394", f"--min-match-rate={share}")
    assert (code, f"{share!r} is no share. To fix: give a number from 0 to 1" in text) == (2, True)
