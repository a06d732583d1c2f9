"""Commands over a state path that cannot be read, without a terminal or with a closed output: one line, and not 0."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_segexport.cli import exit_codes, terminal
from airflow_provider_segexport.cli.exit_codes import errors_shown
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.storage import paths
from airflow_provider_segexport.storage.history import ledger_paths, recent_runs

pytestmark = pytest.mark.airflow

ADDRESS = "person1@example.com"
COMMANDS = [
    ("runs",),
    ("explain", ADDRESS),
    ("erase", ADDRESS, "--requested-by", "desk", "--yes"),
    ("prune", "--older-than", "1d"),
    ("repair", "--yes"),
    ("release", "list", "--export", "by hand", "--yes"),
]


@pytest.fixture
def exported(stage):
    """An audience of five people, and the id of its connection."""
    conn_id = stage.connection("dotdigital")
    mapping = {"email": "email", "first_name": "first_name"}
    get_hook(conn_id).export(stage.segment(5), mapping, export_name="by hand")
    return conn_id


@pytest.fixture
def deny(monkeypatch):
    """A function that takes the permission to list folders away; modes of files do not bind a test of root."""
    list_folder = os.listdir

    def refuse(denied: Path) -> None:
        def listdir(path):
            if Path(path).is_relative_to(denied):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return list_folder(path)

        monkeypatch.setattr(paths.os, "listdir", listdir)

    return refuse


@pytest.mark.parametrize("argv", COMMANDS, ids=[argv[0] for argv in COMMANDS])
def test_a_state_path_without_permission_is_an_error_of_one_line(exported, command, deny, argv):
    """It has the path, and says what to do."""
    root = Path(str(state_path()))
    deny(root)
    code, text = command(*argv)
    assert code == 1
    assert f"cannot be read or written (PermissionError: Permission denied: {root}" in text
    assert text.endswith("install and check the object store that it names.")


def test_undo_and_verify_without_permission_end_with_1(exported, command, deny):
    """Nothing is sent, and no library's text is shown."""
    deny(Path(str(state_path())))
    for name in ("undo", "verify"):
        code, text = command(name, exported, "name:Customers")
        assert (code, "PermissionError: Permission denied" in text) == (1, True), text


def test_a_file_beside_the_audiences_stops_no_command(exported, command):
    """As file managers leave it."""
    [ledger] = ledger_paths(state_path())
    for folder in Path(str(ledger)).parents[:3]:
        (folder / ".DS_Store").write_bytes(b"\0")
    assert [ledger] == list(ledger_paths(state_path()))
    for argv in COMMANDS[:-1]:
        code, text = command(*argv)
        assert code == 0, text


def test_one_audience_that_cannot_be_read_is_unknown_to_explain_and_left_by_an_erasure(exported, command, deny):
    """The other audiences are searched and erased; the receipt is not complete."""
    [ledger] = ledger_paths(state_path())
    other = Path(str(ledger)).parent / "other"
    other.mkdir()
    deny(other)
    code, text = command("explain", ADDRESS)
    assert code == 1
    assert "in the audience, added by an export" in text
    assert "unknown, because the ledger or a report cannot be read (Permission denied). To fix: let this user" in text
    code, text = command("erase", ADDRESS, "--requested-by", "desk", "--yes")
    assert code == 1
    assert f"left         {other}: cannot be read or written (Permission denied). It may contain the person." in text
    code, text = command("explain", ADDRESS)
    assert "in the audience, added by an export" not in text


def test_run_folders_that_cannot_be_read_are_left_by_an_erasure(exported, command, deny):
    """The person is out of the audience by then, so the receipt is written."""
    runs = Path(str(state_path())) / "runs"
    deny(runs)
    code, text = command("erase", ADDRESS, "--requested-by", "desk", "--yes")
    assert code == 1
    assert f"left         {runs}: cannot be read or written (Permission denied)." in text
    assert "removed      audience: " in text
    assert "Receipt: " in text


def test_an_erasure_that_is_interrupted_leaves_a_receipt_of_what_it_did(exported, command, monkeypatch):
    """It is not complete, and a second erasure goes on."""
    from airflow_provider_segexport.person import erase

    def interrupt(_root, _resolve, _person, receipt, _now, **_):
        if not receipt.dry_run:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(erase, "erase_from_runs", interrupt)
        code, text = command("erase", ADDRESS, "--requested-by", "desk", "--yes")
    assert (code, "Interrupted." in text) == (130, True)
    [receipt] = (Path(str(state_path())) / "erasures").iterdir()
    assert '"complete": false' in receipt.read_text()
    assert "The erasure was stopped (KeyboardInterrupt). To fix: erase again." in receipt.read_text()
    assert '"outcome": "removed"' in receipt.read_text()
    code, _ = command("erase", ADDRESS, "--requested-by", "desk", "--yes")
    assert code == 0


def test_sigterm_ends_a_command_as_ctrl_c_does():
    """Such as by the platform that ends a pod. The handler of the process is restored."""
    stopped = []

    @errors_shown()
    def command() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            stopped.append("cleaned up")
            raise

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # another test may leave one
    try:
        with pytest.raises(SystemExit) as ended:
            command()
        restored = signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (ended.value.code, stopped) == (143, ["cleaned up"])
    assert restored is signal.SIG_DFL


def test_a_handler_that_the_process_has_set_for_sigterm_stays():
    """Such as that of a server which runs the command's code."""
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append("by the process"))
    try:
        with errors_shown():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == ["by the process"]


@pytest.mark.parametrize(("only_shows", "code"), [(True, 0), (False, "The output was closed, so the command may")])
def test_a_closed_output_is_a_success_of_commands_that_only_show(monkeypatch, tmp_path, only_shows, code):
    """Such as `| head`. Any other command may have stopped before it did anything, or in the middle."""
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as ended, errors_shown(only_shows=only_shows):
            raise BrokenPipeError
    assert str(ended.value.code).startswith(str(code))


def test_an_unexpected_error_ends_with_1_and_without_its_text(capsys):
    """A library may quote a row in it."""
    with pytest.raises(SystemExit) as ended, errors_shown():
        raise ValueError(ADDRESS)
    assert str(ended.value.code).startswith("Unexpected ValueError. Its text is left out")
    assert ADDRESS not in "".join(capsys.readouterr())


def test_every_command_shows_its_errors():
    """A command that is added later is covered, too."""
    folder = Path(exit_codes.__file__).parent
    for path in folder.glob("*.py"):
        text = path.read_text()
        if "(args: Namespace) -> None:" in text:
            assert "errors_shown(" in text, path


@pytest.mark.parametrize("stdin", [None, io.StringIO("yes\n")])
def test_without_a_terminal_nothing_is_asked(monkeypatch, stdin):
    """Standard input may also be closed."""
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(SystemExit, match="There is no terminal to ask at"):
        terminal.confirm("Do it?", "do it")


def test_the_end_of_input_is_a_no(monkeypatch):
    """Ctrl-D at the question."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert terminal.confirm("Do it?", "do it") is False


def test_what_a_terminal_would_act_on_is_not_printed(capsys):
    """An audience's name comes from the vendor."""
    terminal.say("News\x1b[2J\x1b]0;x\x07letter\r\u202e\nsecond line")
    terminal.warn("\x9b31mred")
    assert capsys.readouterr() == ("News [2J ]0;x letter  \nsecond line\n", " 31mred\n")


@pytest.mark.parametrize("content", [b"jan\xe9@example.com\n", b"\xff\xfe"])
def test_an_address_on_standard_input_that_is_not_utf8_is_refused(exported, command, monkeypatch, content):
    """By `explain` and `erase`."""
    for argv in (("explain", "-"), ("erase", "-", "--requested-by", "desk", "--yes")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        code, text = command(*argv)
        assert (code, "is not UTF-8. To fix: " in text) == (1, True), text


@pytest.mark.parametrize("text", ["a@b.de,c@d.de", "a@b.de, Ann", '"a@b.de"', "a@b.de c@d.de"])
def test_more_than_an_address_is_refused(exported, command, text):
    """It would be another person, of which there is no record, and the code 0 would say that all was erased."""
    for argv in (("explain", text), ("erase", text, "--requested-by", "desk", "--yes")):
        code, shown = command(*argv)
        assert (code, shown) == (1, "This is more than one email address alone. To fix: pass one address.")


def test_an_erasure_needs_the_name_of_its_request(exported, command):
    """The receipt holds it."""
    code, text = command("erase", ADDRESS, "--requested-by", " ", "--yes")
    assert (code, "--requested-by is empty" in text) == (2, True)


def test_the_number_of_runs_to_explain_is_not_negative(exported, command):
    """A slice would then leave the newest runs out."""
    assert command("explain", ADDRESS, "--last-runs", "-1")[0] == 2
    assert command("explain", ADDRESS, "--last-runs", "0")[0] == 0


def test_an_unknown_match_rate_is_not_the_one_that_is_asked_for(stage, command):
    """Such as that of an audience that no export has filled, whose id may be a mistake."""
    conn_id = stage.connection("dotdigital")
    code, text = command("verify", conn_id, "name:Customers", "--min-match-rate", "0.99")
    assert code == 3
    assert "The match rate is unknown, because no member was compared, and should be at least 99%." in text
    assert command("verify", conn_id, "name:Customers")[0] == 0


def test_rejects_of_another_version_are_not_read(exported, command):
    """They lack a column; the ledger still says where the person is."""
    [ledger] = ledger_paths(state_path())
    [run] = recent_runs(ledger)
    pq.write_table(pa.table({"email": [ADDRESS], "file_row": [3]}), Path(run["run_folder"]) / "rejects.parquet")
    code, text = command("explain", ADDRESS)
    assert code == 0
    assert "in the audience, added by an export" in text
    assert f"the report of {run['run']} was removed or cannot be read" in text


def test_a_connection_whose_content_cannot_be_read_is_not_said_to_be_missing_alone(stage, command):
    """Airflow reports both as one."""
    stage.setenv("AIRFLOW_CONN_TORN", '{"conn_type": "dotdigital", "extra": "{"}')
    code, text = command("audiences", "torn")
    assert code == 1
    assert "There is no connection 'torn', or its content cannot be read. To fix: " in text
