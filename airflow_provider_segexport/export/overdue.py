"""Limits the wait for jobs: `journal, job_timeout -> poll the jobs, end the task, or fail`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_segexport.errors import JobsTooLong
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.storage.journal import Entry, State
from airflow_provider_segexport.storage.run_folder import RunFolder

MAX_NAMED_JOBS = 10
"""Job ids in the error message; the journal in the run folder has all of them."""


def running(folder: RunFolder) -> list[Entry]:
    """Return the jobs of a folder's journal that have no result yet, oldest first."""
    entries = [entry for entry in folder.journal.states().values() if entry.state is State.SUBMITTED]
    return sorted(entries, key=lambda entry: entry.written_at)


def oldest_at(folder: RunFolder) -> float:
    """Return when the vendor accepted the oldest job that still runs, epoch seconds; infinity if no job runs."""
    return next((entry.written_at for entry in running(folder)), math.inf)


@dataclass(slots=True)
class BoundedPause:
    """Waits for jobs until the oldest one has run for `job_timeout`.

    The time counts across deferrals and retries, because the journal keeps it.

    Attributes:
        context: the run that waits.
        folder: the run folder whose journal holds the jobs: the run's own, or that of an unfinished run to recover.
    """

    context: ExportContext
    folder: RunFolder
    _is_last_poll: bool = False

    def __call__(self, jobs: int) -> bool:
        """Wait, and return True to poll the jobs, or False to end the task with the jobs running.

        Args:
            jobs: number of running jobs.

        Raises:
            JobsTooLong: `job_timeout` has passed, and one more poll has shown that a job still runs.
        """
        environment, limit_s = self.context.environment, self.context.config.job_timeout
        if oldest_at(self.folder) + limit_s > environment.clock():
            self._is_last_poll = False
            return environment.wait_or_leave(jobs)
        if self._is_last_poll:
            raise self._error(jobs)
        self._is_last_poll = True
        return True

    def _error(self, jobs: int) -> JobsTooLong:
        entries = running(self.folder)
        names = ", ".join(entry.job_id for entry in entries[:MAX_NAMED_JOBS])
        more = f" and {len(entries) - MAX_NAMED_JOBS} more" if len(entries) > MAX_NAMED_JOBS else ""
        since = datetime.fromtimestamp(entries[0].written_at, UTC)
        return JobsTooLong(
            f"{jobs} of this run's jobs have not ended at {self.context.vendor.title}: {names}{more}. The oldest was "
            f"accepted at {since:%Y-%m-%d %H:%M:%S} UTC, and `job_timeout` is "
            f"{self.context.config.job_timeout / 3600:g} h. "
            "Other runs may write the audience again. The jobs stay at the vendor and may still end: the next run to "
            "this audience, or this task when it is cleared, reads their results before it sends anything. To fix: "
            "look for the jobs in the vendor's account, then clear the task; if such jobs take longer, raise "
            "`job_timeout`."
        )
