"""Shows how far a run is: `phase, counts -> Airflow's task state store`, where Airflow has one (3.3).

The UI shows it under the task's Storage tab. Nothing is decided by it: what a run has done stands in its run folder. It
is deleted when the run has ended well, for it outlives a clear, and would tell of a run that is over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from airflow_provider_segexport.storage.run_folder import RunFolder

log = logging.getLogger(__name__)

KEY = "segexport"
EVERY_S = 10.0
"""Between two writes of one phase: each is a call to Airflow's API server."""


class Progress:
    """What a run tells of itself while it lasts.

    Args:
        folder: the run's, whose place is told.
        clock: epoch seconds.
    """

    def __init__(self, folder: RunFolder, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._store = store()
        self._phase: object = None
        self._next = 0.0

    def tell(self, told: Mapping[str, Any]) -> None:
        """Write it down when the phase is another one, or when enough time has gone by."""
        if self._store is None or (told.get("phase") == self._phase and self._clock() < self._next):
            return
        self._phase, self._next = told.get("phase"), self._clock() + EVERY_S
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")
        try:
            self._store.set(KEY, {**told, "run_folder": str(self._folder.path), "at": at})
        except (AirflowException, AirflowRuntimeError) as error:
            log.warning("How far this run is cannot be shown (%s).", type(error).__name__)
            self._store = None

    def end(self) -> None:
        """Leave nothing behind."""
        if self._store is None:
            return
        try:
            self._store.delete(KEY)
        except (AirflowException, AirflowRuntimeError) as error:
            log.warning("How far this run was is still shown (%s).", type(error).__name__)


def store() -> Any:
    """The store of the task that runs here; None outside a task, and in Airflow before 3.3."""
    try:
        return get_current_context().get("task_state_store")
    except RuntimeError:
        return None
