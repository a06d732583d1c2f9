"""Removes one person from one audience at the vendor: `email -> outcome`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import RetryableError, SegexportError
from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchKind,
    BatchResult,
    JobId,
    JobState,
    Member,
    Operation,
    OptOut,
    Reason,
    T,
    batch_id,
)
from airflow_provider_segexport.vendors.base import Removal, Vendor
from airflow_provider_segexport.vendors.read_back import READ_BACK_DELAYS_S, members_among

REMOVED = "removed"

POLL_DELAYS_S = (0.5, 1.0, 2.0, 5.0, *([10.0] * 30))
"""Seconds before each poll of a removal job, five minutes in all."""

MAX_CALLS = 3
"""Maximum calls for one person, if the vendor asks to send a call again."""


class RunOperation(Protocol):
    """Runs an operation of the vendor."""

    def __call__(self, operation: Operation[T], /) -> T:
        """Return the operation's result."""


@dataclass(frozen=True, slots=True)
class VendorRemover:
    """One audience at a vendor, from which people are removed one by one."""

    vendor: Vendor
    audience: Audience
    run: RunOperation
    sleep: Callable[[float], Any]

    def remove(self, email: str) -> str:
        """Remove a person, and return `removed` or the reason why the person is not removed.

        A person who has opted out stays in the audience if the vendor would delete the opt-out with the membership.

        Raises:
            SegexportError: the vendor cannot remove people, or a call failed.
            RetryableError: the removal job has not ended within five minutes.
        """
        removal = self.vendor.removal
        if removal is None:
            raise SegexportError(f"{self.vendor.title} cannot remove people by API. To fix: remove the person there.")
        if removal.forgets_optouts and self._has_opted_out(email):
            return str(Reason.UNSUBSCRIBED)
        items = self._contact_ids(removal, email) if removal.by_id else [email]
        if not items:
            return str(Reason.NOT_IN_AUDIENCE)
        batch = Batch(batch_id(items, kind=BatchKind.REMOVE), [0], [email], items, kind=BatchKind.REMOVE)
        for _ in range(MAX_CALLS):
            result = self._call(removal, batch)
            if result.rejected:
                return str(result.rejected[0].reason)
            if not result.retry:
                return REMOVED if removal.confirms or self._is_gone(email) else str(Reason.STILL_IN_AUDIENCE)
        return str(Reason.JOB_FAILED)

    def _call(self, removal: Removal, batch: Batch) -> BatchResult:
        """Send the batch, and wait for its job if it becomes one."""
        reply = self.run(removal.remove(self.audience, batch))
        if not isinstance(reply, JobId):
            return reply
        for seconds in POLL_DELAYS_S:
            self.sleep(seconds)
            state = self.run(removal.poll(self.audience, [reply.id])).get(reply.id, JobState.RUNNING)
            if state is JobState.ACCEPTED:
                return BatchResult()
            if state is not JobState.RUNNING:
                return self.run(removal.collect(self.audience, batch, reply.id))
        raise RetryableError("The vendor has not ended the removal within five minutes. To fix: erase again later.")

    def _contact_ids(self, removal: Removal, email: str) -> list[str]:
        """Return the member's present contact ids. The id in the ledger may be another person's by now."""
        members: list[Member] = []
        if removal.resolve_ids is not None:
            self.run(removal.resolve_ids(self.audience, [email], members.extend))
        return [member.contact_id for member in members if canonical(member.email) == email and member.contact_id]

    def _has_opted_out(self, email: str) -> bool:
        optouts: list[OptOut] = []
        if self.vendor.list_optouts is not None:
            self.run(self.vendor.list_optouts(self.audience, 0.0, optouts.extend))
        return any(canonical(optout.email) == email for optout in optouts)

    def _is_gone(self, email: str) -> bool:
        """Read back whether the person is gone, because the vendor has only accepted the removal so far."""
        for seconds in READ_BACK_DELAYS_S:
            self.sleep(seconds)
            members: list[Member] = []
            self.run(members_among(self.vendor, self.audience, [email], members.extend))
            if all(canonical(member.email) != email for member in members):
                return True
        return False
