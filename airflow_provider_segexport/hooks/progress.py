"""Stores the progress of a run for the UI: `phase, counts -> Airflow's task state store`, in Airflow 3.3 and later.

The UI shows it under the task's Storage tab. No decision depends on it, because the run folder records what a run has
done. It is deleted when the run ends without an error, because Airflow keeps it when a task is cleared, and it would
then describe an old run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import get_current_context

from airflow_provider_segexport.storage.run_folder import RunFolder

log = logging.getLogger(__name__)

KEY = "segexport"
WRITE_INTERVAL_S = 10.0
"""Seconds between two writes of one phase, because each is a call to Airflow's API server."""


class Progress:
    """Writes the progress of a run to Airflow.

    Args:
        folder: the run folder; its path is written too.
        clock: returns epoch seconds.
    """

    def __init__(self, folder: RunFolder, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._store = task_state_store()
        self._phase: object = None
        self._next_write_at = 0.0

    def update(self, progress: Mapping[str, Any]) -> None:
        """Write the progress if the phase has changed or the last write was `WRITE_INTERVAL_S` ago."""
        if self._store is None or (progress.get("phase") == self._phase and self._clock() < self._next_write_at):
            return
        self._phase, self._next_write_at = progress.get("phase"), self._clock() + WRITE_INTERVAL_S
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")
        try:
            self._store.set(KEY, {**progress, "run_folder": str(self._folder.path), "at": at})
        except Exception as error:  # noqa: BLE001 - a record for display must not fail the run
            log.warning("Giving up showing the run's progress (error=%s)", type(error).__name__)
            self._store = None

    def clear(self) -> None:
        """Delete the progress."""
        if self._store is None:
            return
        try:
            self._store.delete(KEY)
        except Exception as error:  # noqa: BLE001 - the run is done
            log.warning("Leaving the run's old progress in Airflow (error=%s)", type(error).__name__)


def task_state_store() -> Any:
    """Return the state store of the running task; None outside a task, and in Airflow before 3.3."""
    try:
        return get_current_context().get("task_state_store")
    except RuntimeError:
        return None
