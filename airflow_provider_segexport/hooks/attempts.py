"""Records the state of an attempt for the UI: `run -> running, waiting, finished, failed or skipped, with the error`.

A state path that cannot be written does not fail the run. In object storage a thread writes the record, so the run
waits only for the record of its end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowSkipException, AirflowTaskTimeout

from airflow_provider_segexport.errors import InvalidArgument, SegexportError
from airflow_provider_segexport.hooks.arguments import audience as audience_argument
from airflow_provider_segexport.hooks.arguments import is_empty
from airflow_provider_segexport.hooks.failures import (
    SKIPPED,
    TIMED_OUT,
    UNEXPECTED,
    airflow_class,
    message,
    unexpected_text,
)
from airflow_provider_segexport.hooks.interruptible import Interruptible
from airflow_provider_segexport.hooks.numpy_scalars import scalar
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.storage.attempts import Attempt, Status, attempts, attempts_file, record
from airflow_provider_segexport.storage.paths import as_local_path
from airflow_provider_segexport.yes_no import yes_no

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession
    from airflow_provider_segexport.model import Audience
    from airflow_provider_segexport.storage.paths import StoragePath

log = logging.getLogger(__name__)

MAX_AUDIENCE_CHARS = 500
"""Characters of an audience argument in a record. No vendor has longer names or ids."""


@dataclass(slots=True)
class AttemptRecord:
    """The record of one running attempt.

    Attributes:
        attempt: its current state, which is stored or being stored.
        file: the file of the record; None if the state path cannot be used.
    """

    attempt: Attempt
    file: StoragePath | None = None
    _warned: bool = field(default=False)
    _earlier: list[Attempt] | None = field(default=None)
    _written: Attempt | None = field(default=None)
    _pool: ThreadPoolExecutor | None = field(default=None)

    def update(self, **changes: Any) -> None:
        """Change the attempt and write it; to object storage in a thread. An error is logged once."""
        self.attempt = replace(self.attempt, **changes)
        if self.file is None or as_local_path(self.file) is not None:
            self._write()
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="segexport-attempt")
        self._pool.submit(self._write)

    def _end(self, **changes: Any) -> None:
        """Change the attempt for the last time, and write it before returning."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self.attempt = replace(self.attempt, **changes)
        self._write()

    def _write(self) -> None:
        attempt = self.attempt
        if self.file is None or self._warned or attempt is self._written:
            return
        try:
            record(self.file, attempt, self._earlier)
            self._earlier = None  # what `begin` has read is current for the first write only
            self._written = attempt
        except Exception as error:  # noqa: BLE001 - a record for display must not fail the run
            self._warned = True
            log.warning("Giving up recording this attempt for the UI (error=%s)", type(error).__name__)

    def configured(self, session: VendorSession, audience: str) -> None:
        """Record the vendor and the audience argument. If the argument has changed, forget the audience of before."""
        audience = str(audience or session.settings.audience or "")
        unknown: dict[str, Any] = {"ledger": (), "audience_name": ""}
        has_changed = audience != self.attempt.audience
        self.update(vendor=session.vendor.name, audience=audience, **(unknown if has_changed else {}))

    def resolved(self, audience: Audience, ledger: StoragePath) -> None:
        """Record the audience that the vendor has reported, and the path of its ledger."""
        parts = (ledger.parent.parent.name, ledger.parent.name, ledger.name)
        if (parts, audience.audience_name) != (self.attempt.ledger, self.attempt.audience_name):
            self.update(ledger=parts, audience_name=audience.audience_name)

    def ended(self, result: object) -> None:
        """Record the end of a try that had no error.

        A run calls this while it writes its last files, and its caller calls it again. Only the first call counts.

        Args:
            result: the report, or any other object if the run waits for jobs.
        """
        if self.attempt.status is not Status.RUNNING:
            return
        if isinstance(result, Mapping):
            self._end(status=Status.FINISHED, ended_at=Interruptible.clock(), code="", error="")
        else:
            self._end(status=Status.WAITING, code="", error="")

    def stopped(self, status: Status, code: str, error: str) -> None:
        """Record the error that ends a try.

        Args:
            status: failed or skipped, or waiting if the task tries again without using up a retry.
            code: the error's code.
            error: the error's text, without personal data.
        """
        ended_at = 0.0 if status is Status.WAITING else Interruptible.clock()
        self._end(status=status, ended_at=ended_at, code=code, error=error)


def audience_text(given: object) -> str:
    """Return the `audience` argument as an export reads it; empty if it is empty, such as the text `None`.

    If the value cannot be an audience, only its type is returned, because it may be a frame of profiles.
    """
    if is_empty(given):
        return ""
    try:
        return audience_argument(given, "audience")[:MAX_AUDIENCE_CHARS]
    except InvalidArgument:
        return f"({type(given).__name__})"


def begin(conn_id: str, audience: str, identity: tuple[str, ...], *, dry_run: object) -> AttemptRecord:
    """Record that a try begins.

    Args:
        conn_id: the Airflow connection.
        audience: the `audience` argument; empty for the connection's default.
        identity: DAG, task, run and map index, or `hook` and its connection.
        dry_run: the argument `dry_run` as it was given: a boolean, a word or a template's result.
    """
    is_dry_run = yes_no(scalar(dry_run)) is True
    attempt = Attempt("/".join(identity), conn_id=conn_id, audience=audience, dry_run=is_dry_run)
    try:
        file = attempts_file(state_path(), conn_id, audience, "/".join(identity[:2]))
        earlier = attempts(file)
    except Exception as error:  # noqa: BLE001 - a record for display must not fail the run
        log.warning("Leaving this attempt out of the UI (error=%s)", type(error).__name__)
        return AttemptRecord(attempt)
    now = Interruptible.clock()
    last = earlier[-1] if earlier else attempt
    same_run = next((item for item in earlier if item.run == attempt.run), attempt)
    has_failed = same_run.status in {Status.FAILED, Status.RUNNING}
    result = AttemptRecord(attempt, file, _earlier=earlier)
    result.update(
        started_at=same_run.started_at or now,
        try_started_at=now,
        code=same_run.code if has_failed else "",
        error=same_run.error if has_failed else "",
        audience=audience or last.audience,
        audience_name=last.audience_name,
        vendor=last.vendor,
        ledger=last.ledger,
    )
    return result


@contextmanager
def recorded(
    attempt: AttemptRecord, waits: Callable[[SegexportError], bool] = lambda _: False
) -> Iterator[AttemptRecord]:
    """Record the exception that ends a try, and raise it again.

    Args:
        attempt: the attempt's record.
        waits: returns whether the task waits after an error instead of failing.
    """
    try:
        yield attempt
    except SegexportError as error:
        status = _status(error, waits)
        attempt.stopped(status, error.error_code, message(error))
        _log_end(status, error.error_code, message(error))
        raise
    except AirflowSkipException as skip:
        attempt.stopped(Status.SKIPPED, SKIPPED, str(skip))
        _log_end(Status.SKIPPED, SKIPPED, str(skip))
        raise
    except AirflowTaskTimeout:
        attempt.stopped(Status.FAILED, TIMED_OUT, "The task ran for longer than its `execution_timeout`.")
        raise
    except AirflowException:
        attempt.stopped(Status.FAILED, UNEXPECTED, "The task failed. Its log has the error.")
        raise
    except Exception as error:
        attempt.stopped(Status.FAILED, UNEXPECTED, unexpected_text(error))
        raise


def _log_end(status: Status, code: str, sentence: str) -> None:
    """Log why a task is skipped, which Airflow does not log. Of an error, which Airflow logs, log the code."""
    if status is Status.SKIPPED:
        log.info("Skipping the export (code=%s): %s", code, sentence)
    elif status is Status.FAILED:
        log.warning("Stopping the export (code=%s)", code)


def _status(error: SegexportError, waits: Callable[[SegexportError], bool]) -> Status:
    if waits(error):
        return Status.WAITING
    return Status.SKIPPED if airflow_class(error) is AirflowSkipException else Status.FAILED
