"""A run that was superseded finds the ledger's version gone that it reads: its end is that of a superseded run."""

from __future__ import annotations

from types import SimpleNamespace

import duckdb
import pytest

from airflow_provider_segexport.errors import Superseded
from airflow_provider_segexport.stages import update_ledger
from airflow_provider_segexport.stages.update_ledger import PlanBatches
from airflow_provider_segexport.storage.paths import local_path


class Gone:
    """A ledger whose newest version another run has removed since it was listed."""

    def __init__(self, *, superseded: bool) -> None:
        self.fence = SimpleNamespace(check=self.check)
        self.superseded = superseded

    def pinned(self) -> Gone:
        return self

    def version(self) -> int:
        return 4

    def facts(self, _: int) -> dict:
        return {}

    def commit(self, *_: object) -> int:
        raise duckdb.IOException("No files found")

    def check(self) -> None:
        if self.superseded:
            raise Superseded("another run")


@pytest.mark.parametrize("read_by", ["_load_previous", "commit"])
@pytest.mark.parametrize(("superseded", "error"), [(True, Superseded), (False, duckdb.IOException)])
def test_a_version_that_is_gone_is_an_error_of_the_run_that_holds_the_audience(
    monkeypatch, tmp_path, superseded, error, read_by
):
    ledger = Gone(superseded=superseded)
    for name in ("_load_results", "_load_previous", "facts_of"):
        monkeypatch.setattr(update_ledger, name, lambda *_, **__: {})
    if read_by == "_load_previous":
        monkeypatch.setattr(update_ledger, read_by, ledger.commit)
    monkeypatch.setattr(update_ledger.next_version, "parts", lambda *_, **__: [])
    engine = SimpleNamespace(rows=lambda _: [(1,)], stream=lambda _: iter(()))
    folder = SimpleNamespace(path=local_path(str(tmp_path)))
    origin = SimpleNamespace(count_in_flight_as_sent=False, finished=True)
    with pytest.raises(error):
        update_ledger.update_ledger(engine, ledger, folder, PlanBatches(()), origin)
