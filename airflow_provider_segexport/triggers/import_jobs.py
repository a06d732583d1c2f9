"""Waits for import jobs at a vendor: `job_ids -> enough of them have ended`."""

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

ENDED = "ended"
LOOK = "look"
EVENTS = frozenset({ENDED, LOOK})
"""All that crosses to the worker: jobs have ended, or it should look itself (and meet the error there)."""

SHORTEST_S = 5.0
"""Airflow 3.3.2 may fail a task whose trigger fires at once (apache/airflow#67287)."""

MOST_FAILURES = 10
LONGEST_S = 60.0
"""A vendor that asks to wait for longer than this is asked again by the worker, which can give its place back."""


class ImportJobsTrigger(BaseTrigger):
    """Polls jobs without holding a worker's slot. Carries ids only, and no row.

    Args:
        vendor: connection type.
        conn_id: Airflow connection.
        api: base URL of the account's region.
        audience: the vendor's id.
        job_ids: job ids.
        min_done: how many must have ended.
        poll_interval: seconds between two looks.
        kind: what the jobs do, as `model.Kind` has it: jobs that take people out are asked for in another way.
        until: epoch seconds at which `job_timeout` is over; the worker then looks once more, and fails. None in a
            trigger that an earlier version has stored.
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
        """What Airflow stores of it."""
        kept = ("vendor", "conn_id", "base_url", "audience", "job_ids", "min_done", "poll_interval", "kind", "until")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in kept}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep, look, until enough jobs have ended. Calls run in a thread: the loop is shared with all triggers."""
        failures = 0
        while True:
            await self._rest()
            try:
                ended = await to_thread(self._ended)
            except RetryableError as error:
                failures += 1
                self.log.warning("The jobs' states could not be read (%d of %d): %s", failures, MOST_FAILURES, error)
                if failures < MOST_FAILURES and (error.retry_after_s or 0) <= LONGEST_S:
                    continue
                ended = -1
            except SegexportError as error:
                self.log.warning("The jobs' states could not be read: %s", error)
                ended = -1
            except Exception as error:  # noqa: BLE001 - the worker meets it again, where it can be told and tried again
                self.log.warning("The jobs' states could not be read (%s).", type(error).__name__)
                ended = -1
            if ended < 0 or (self._is_late and ended < self.min_done):
                yield TriggerEvent({"status": LOOK})
                return
            if ended >= self.min_done:
                yield TriggerEvent({"status": ENDED})
                return
            jobs = counted(len(self.job_ids), "job")
            self.log.info("Waiting for import jobs (ended=%d of %s, min_done=%d).", ended, jobs, self.min_done)

    async def _rest(self) -> None:
        """Sleep until the next look, which is no later than `until`; log a line every `HEARTBEAT_S`."""
        seconds = next_poll_s(max(SHORTEST_S, self.poll_interval), self._waited_s)
        if self.until is not None:
            left = self.until - get_hook_class(self.vendor).clock()
            seconds = min(seconds, max(SHORTEST_S, left))
            self._is_late = left <= seconds
        while seconds > 0:
            part = min(seconds, HEARTBEAT_S)
            await sleep(part)
            seconds -= part
            if seconds > 0:
                self.log.info("Waiting for jobs (jobs=%d next_look_s=%.0f)", len(self.job_ids), seconds)

    def _ended(self) -> int:
        hook = get_hook_class(self.vendor)(self.conn_id)
        target = Audience(base_url=self.base_url, account="", account_name="", audience=self.audience)
        sender = hook.http_client()
        try:
            states = run_operation(self._poll(hook.vendor)(target, self.job_ids), sender)
        finally:
            sender.close()
            self._waited_s = sender.traffic.wait_s
        return sum(state is not JobState.RUNNING for state in states.values())

    def _poll(self, vendor: Vendor) -> Callable[[Audience, Sequence[str]], Operation[dict[str, JobState]]]:
        return vendor.removal.poll if self.kind == BatchKind.REMOVE and vendor.removal else vendor.poll
