"""Files that hold people are this user's alone, whatever the umask; temporary ones outlive no process for long."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_segexport.errors import FatalError
from airflow_provider_segexport.http import variable_lock
from airflow_provider_segexport.storage import private
from airflow_provider_segexport.storage import scratch as scratches
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.exclusive import create
from airflow_provider_segexport.storage.journal import Entry, Journal, State
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import SCHEMA
from airflow_provider_segexport.storage.paths import as_storage_path, ensure_folder, write
from airflow_provider_segexport.storage.scratch import NAME, remove_stale_folders, scratch


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary directory that every user can write to."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    directory.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(scratches, "_own", None)  # an engine that other tests keep has its folder elsewhere
    return directory


@pytest.fixture
def open_umask():
    """No bit is masked."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(top):
    """Mode by kind, of everything below a folder."""
    return {(path.is_dir(), stat.S_IMODE(path.lstat().st_mode)) for path in top.rglob("*")}


def test_modes_with_no_umask(tmp_path, temporary, open_umask):
    """0600 and 0700 for whatever is written, by whichever way."""
    top = tmp_path / "state"
    write(as_storage_path(top / "deep" / "down" / "a.json"), b"a")
    create(as_storage_path(top / "once" / "a.json"), b"a")
    ensure_folder(as_storage_path(top / "made" / "empty"))
    Journal(as_storage_path(top / "run")).write([Entry("b", State.SENDING, 1)])
    ledger = Ledger(as_storage_path(top / "ledger"))
    ledger.commit([pa.RecordBatch.from_pylist([], schema=SCHEMA)], 0)
    assert modes(top) == {(True, 0o700), (False, 0o600)}
    assert stat.S_IMODE(top.stat().st_mode) == 0o700
    with scratch("test") as folder, engine():
        (temporary_file := private.private_file(folder / "rows")).write_bytes(b"a")
        assert stat.S_IMODE(temporary_file.stat().st_mode) == 0o600
        assert modes(temporary) == {(True, 0o700), (False, 0o600)}
    assert [path.name for path in temporary.iterdir()] == [f"{NAME}-{os.getuid()}"]
    assert not modes(temporary / f"{NAME}-{os.getuid()}")


KILLED = """
import sys, time
from airflow_provider_segexport.storage.scratch import scratch
with scratch("frame") as place:
    (place / "people").write_text("jane@example.com")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_the_next_run_sweeps_what_a_killed_one_left(temporary):
    """While the process lives its folder stays; after a SIGKILL the next use removes it."""
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        assert remove_stale_folders() == 0
        with scratch("other"):
            assert list(temporary.rglob("people"))
        process.send_signal(signal.SIGKILL)
    assert list(temporary.rglob("people"))
    with scratch("next"):
        assert not list(temporary.rglob("people"))
    assert not modes(temporary / f"{NAME}-{os.getuid()}")
    assert remove_stale_folders() == 0


def test_a_forked_child_has_a_folder_of_its_own(temporary):
    """And takes nothing of its parent's with it when it ends."""
    with scratch("parent") as folder:
        (folder / "rows").write_bytes(b"a")
        child = os.fork()
        if not child:
            with scratch("child") as own:
                os._exit(0 if own.parent != folder.parent else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (folder / "rows").exists()
        assert remove_stale_folders() == 1
        assert (folder / "rows").exists()


@pytest.mark.parametrize("use", [variable_lock.file_locks, remove_stale_folders], ids=["locks", "scratch"])
@pytest.mark.parametrize("trap", ["link", "file", "open mode", "another user's"])
def test_a_folder_that_another_user_has_put_there(temporary, use, trap):
    """It is refused with a word on what to do; nothing is written through it."""
    name = "segexport-locks" if use is variable_lock.file_locks else NAME
    path = temporary / f"{name}-{os.getuid()}"
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if trap == "link":
        path.symlink_to(elsewhere)
    elif trap == "file":
        path.write_text("")
    else:
        path.mkdir(mode=0o700)
        if trap == "open mode":
            path.chmod(0o770)
        elif os.getuid() == 0:
            os.chown(path, 65534, 65534)
        else:
            pytest.skip("only root can give a folder away")
    with pytest.raises(FatalError, match="To fix: remove it"):
        use()
    assert not list(elsewhere.iterdir())


def test_a_link_in_the_place_of_a_lock(temporary):
    """A lock file is no way to truncate another file."""
    folder = variable_lock.file_locks()
    victim = temporary / "victim"
    victim.write_text("content")
    (folder / "a.lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        private.open_private(folder / "a.lock", "w")
    assert victim.read_text() == "content"


@pytest.mark.parametrize("directory", ["/no/such/directory", "/proc", "/dev/null"])
@pytest.mark.parametrize("use", [variable_lock.file_locks, remove_stale_folders], ids=["locks", "scratch"])
def test_a_temporary_directory_that_cannot_be_used(monkeypatch, directory, use):
    """Missing, without new folders, or no directory: the error names the variable to set."""
    monkeypatch.setattr(tempfile, "tempdir", directory)
    with pytest.raises(FatalError, match="To fix: set TMPDIR"):
        use()


def test_no_temporary_directory_at_all(monkeypatch):
    """Python finds none that is writable."""

    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(FatalError, match="To fix: set TMPDIR"):
        remove_stale_folders()


@pytest.mark.parametrize("number", sorted(private.DISK_FULL_ERRNOS))
@pytest.mark.parametrize("at", ["own folder", "folder of the process"])
def test_a_full_temporary_directory_is_an_error_at_once(temporary, monkeypatch, number, at):
    """A lock file still fits, and a folder does not: no endless loop, and no lock file is left."""
    make, folder = Path.mkdir, private.own_folder(NAME)

    def full(path: Path, *args, **options) -> None:
        if (path == folder) == (at == "own folder"):
            raise OSError(number, os.strerror(number), str(path))
        make(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OSError, match=os.strerror(number)), scratch("rows"):
        pass
    assert list(folder.iterdir()) == []


def test_an_engine_without_a_home_directory():
    """As in a container whose user id has no entry in /etc/passwd."""
    module = "airflow_provider_segexport.storage.duckdb_engine"
    code = f"from {module} import engine\nwith engine() as sql: sql.rows('select 1')"
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
