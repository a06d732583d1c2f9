"""Waits until enough import jobs at a vendor have ended: `job ids -> event`."""

from __future__ import annotations

from asyncio import sleep, to_thread
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import RetryableError, SegexportError
from airflow_provider_segexport.hooks import get_hook_class
from airflow_provider_segexport.hooks.paths import HEARTBEAT_S
from airflow_provider_segexport.model import Audience, BatchKind, JobState, Operation
from airflow_provider_segexport.ratelimit.limiter import next_poll_s
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.operations import run_operation

JOBS_ENDED = "ended"
RUN_AGAIN = "run_again"
EVENTS = frozenset({JOBS_ENDED, RUN_AGAIN})
"""Statuses in the triggers' events: enough jobs have ended, or the task should run again, for example because polls
fail. The worker then gets the same error and reports it."""

MIN_WAIT_S = 5.0
"""Shortest time, in seconds, until a trigger fires: Airflow 3.3.2 may fail a task whose trigger fires at once
(apache/airflow#67287)."""

MAX_FAILURES = 10
"""Failed polls after which the trigger fires, so that the task runs again."""

MAX_RETRY_AFTER_S = 60.0
"""If the vendor asks to wait for more seconds than this, the trigger fires, so that the task runs again."""


class ImportJobsTrigger(BaseTrigger):
    """Polls jobs without a worker slot. It carries ids and no rows.

    Args:
        vendor: the vendor's connection type.
        conn_id: the Airflow connection.
        base_url: base URL of the account's region.
        audience: the vendor's id of the audience.
        job_ids: the jobs.
        min_done: how many of the jobs must have ended.
        poll_interval: seconds between two polls.
        kind: a `model.BatchKind`: import jobs and removal jobs are polled with different calls.
        until: epoch seconds at which `job_timeout` ends. The trigger then fires, and the task polls once more and
            fails. None for no limit.
    """

    def __init__(  # noqa: PLR0913 - what Airflow stores is flat
        self,
        *,
        vendor: str,
        conn_id: str,
        base_url: str,
        audience: str,
        job_ids: Sequence[str],
        min_done: int,
        poll_interval: float,
        kind: str = BatchKind.UPSERT,
        until: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow does not type it
        self.vendor = vendor
        self.conn_id = conn_id
        self.base_url = base_url
        self.audience = audience
        self.job_ids = list(job_ids)
        self.min_done = min_done
        self.poll_interval = poll_interval
        self.kind = str(kind)
        self.until = until
        self._waited_s = 0.0
        self._is_late = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the trigger's class path and its arguments, which Airflow stores."""
        fields = ("vendor", "conn_id", "base_url", "audience", "job_ids", "min_done", "poll_interval", "kind", "until")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in fields}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep and poll until enough jobs have ended. Polls run in a thread, because triggers share the event loop."""
        failures = 0
        while True:
            await self._sleep()
            try:
                ended = await to_thread(self._ended)
            except RetryableError as error:
                failures += 1
                self.log.warning(
                    "Reading the jobs' states failed (failure=%d of %d): %s", failures, MAX_FAILURES, error
                )
                if failures < MAX_FAILURES and (error.retry_after_s or 0) <= MAX_RETRY_AFTER_S:
                    continue
                ended = -1
            except SegexportError as error:
                self.log.warning("Reading the jobs' states failed: %s", error)
                ended = -1
            except Exception as error:  # noqa: BLE001 - the task runs again, and reports the error
                self.log.warning("Reading the jobs' states failed (error=%s)", type(error).__name__)
                ended = -1
            if ended < 0 or (self._is_late and ended < self.min_done):
                yield TriggerEvent({"status": RUN_AGAIN})
                return
            if ended >= self.min_done:
                yield TriggerEvent({"status": JOBS_ENDED})
                return
            jobs = counted(len(self.job_ids), "job")
            self.log.info("Waiting for import jobs (ended=%d of %s min_done=%d)", ended, jobs, self.min_done)

    async def _sleep(self) -> None:
        """Sleep until the next poll, but not beyond `until`; log a line every `HEARTBEAT_S`."""
        seconds = next_poll_s(max(MIN_WAIT_S, self.poll_interval), self._waited_s)
        if self.until is not None:
            remaining_s = self.until - get_hook_class(self.vendor).clock()
            seconds = min(seconds, max(MIN_WAIT_S, remaining_s))
            self._is_late = remaining_s <= seconds
        while seconds > 0:
            part = min(seconds, HEARTBEAT_S)
            await sleep(part)
            seconds -= part
            if seconds > 0:
                self.log.info("Waiting for jobs (jobs=%d next_poll_s=%.0f)", len(self.job_ids), seconds)

    def _ended(self) -> int:
        """Return how many of the jobs have ended."""
        hook = get_hook_class(self.vendor)(self.conn_id)
        audience = Audience(base_url=self.base_url, account="", account_name="", audience=self.audience)
        client = hook.http_client()
        try:
            states = run_operation(self._poll(hook.vendor)(audience, self.job_ids), client)
        finally:
            client.close()
            self._waited_s = client.traffic.wait_s
        return sum(state is not JobState.RUNNING for state in states.values())

    def _poll(self, vendor: Vendor) -> Callable[[Audience, Sequence[str]], Operation[dict[str, JobState]]]:
        """Return the vendor's operation that reads the states of jobs of this kind."""
        return vendor.removal.poll if self.kind == BatchKind.REMOVE and vendor.removal else vendor.poll
