"""How a text becomes a place."""

from __future__ import annotations

import pwd

import pytest

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks.paths import default_root, open_storage_path, resolve, state_path


@pytest.mark.parametrize("key", ["a?b.parquet", "q?", "x#y", "x#", "a [1]/b*.parquet", "tab\tx", "e%20f", "day=1/x"])
def test_a_key_is_taken_as_it_is_written(key):
    """Airflow's path would cut `q?` and read another object."""
    path = resolve(f"memory://bucket/{key}")
    assert f"/bucket/{key}" == path.path
    assert path.name == key.rpartition("/")[2]


def test_a_file_url_is_a_local_path():
    """In each form, and an error of another one names the argument or option."""
    for text in ("file:///data/x", "file:/data/x", "file://localhost/data/x", "/data/x"):
        assert str(open_storage_path(text, "`reports_path`")) == "/data/x"
    with pytest.raises(
        InvalidArgument, match=r"`reports_path` cannot be opened: 'file://nas/x' names the machine 'nas'"
    ):
        open_storage_path("file://nas/x", "`reports_path`")


@pytest.mark.parametrize("text", ["state", "./state", "../state"])
def test_a_relative_state_path_is_refused(monkeypatch, text):
    """It is another folder in each process, so a worker would not find the ledger of another one."""
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", text)
    with pytest.raises(InvalidArgument, match=r"a relative path.* To fix: set `.* state_path` to an absolute"):
        state_path()


@pytest.mark.parametrize(("text", "expected"), [(" /data/x\n", "/data/x"), (" ", "/opt/airflow/segexport")])
def test_blanks_around_the_state_path_do_not_count(monkeypatch, text, expected):
    """A mounted secret ends with a newline."""
    monkeypatch.setenv("AIRFLOW_HOME", "/opt/airflow")
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", text)
    assert str(state_path()) == expected


def test_without_a_home_directory_the_default_state_path_is_an_error(monkeypatch):
    """A container's user id may have no entry in /etc/passwd. With AIRFLOW_HOME, no home directory is needed."""

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("AIRFLOW_HOME", "/opt/airflow")
    assert str(default_root()) == "/opt/airflow/segexport"
    monkeypatch.delenv("AIRFLOW_HOME")
    with pytest.raises(InvalidArgument, match="To fix: set AIRFLOW_HOME"):
        default_root()
