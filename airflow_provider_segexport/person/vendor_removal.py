"""Takes one person out of one audience at the vendor: `address, contact id -> what became of it`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_segexport.email_address import same
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

REMOVED = "removed"
LOOKS_S = (0.0, 5.0, 15.0, 40.0, 60.0)
"""A vendor that works on removals in the background is looked at after so long."""

POLLS_S = (0.5, 1.0, 2.0, 5.0, *([10.0] * 30))
TRIES = 3


class Run(Protocol):
    """Runs an operation of the vendor's."""

    def __call__(self, operation: Operation[T], /) -> T:
        """Its result."""


@dataclass(frozen=True, slots=True)
class VendorRemover:
    """One audience at a vendor, and what goes through to it."""

    vendor: Vendor
    target: Audience
    run: Run
    sleep: Callable[[float], Any]

    def take_out(self, email: str, contact_id: str) -> str:
        """`removed`, or the reason why nobody was.

        Who has opted out of the audience is left in it where being taken out would make the vendor forget that.
        """
        removal = self.vendor.removal
        if removal is None:
            raise SegexportError(f"{self.vendor.title} has no way to take people out: do it there by hand.")
        if removal.forgets_optouts and self._opted_out(email):
            return str(Reason.UNSUBSCRIBED)
        item = self._contact_id(removal, email, contact_id) if removal.by_id else email
        if not item:
            return str(Reason.NOT_IN_AUDIENCE)
        batch = Batch(batch_id([item], kind=BatchKind.REMOVE), [0], [email], [item], kind=BatchKind.REMOVE)
        for _ in range(TRIES):
            settled = self._sent(removal, batch)
            if settled.rejected:
                return str(settled.rejected[0].reason)
            if not settled.retry:
                return REMOVED if removal.confirms or self._is_gone(removal, email) else str(Reason.STILL_IN_AUDIENCE)
        return str(Reason.JOB_FAILED)

    def _sent(self, removal: Removal, batch: Batch) -> BatchResult:
        """The verdict on the one call; a job is waited for."""
        reply = self.run(removal.remove(self.target, batch))
        if not isinstance(reply, JobId):
            return reply
        for seconds in POLLS_S:
            self.sleep(seconds)
            state = self.run(removal.poll(self.target, [reply.id])).get(reply.id, JobState.RUNNING)
            if state is JobState.ACCEPTED:
                return BatchResult()
            if state is not JobState.RUNNING:
                return self.run(removal.collect(self.target, batch, reply.id))
        raise RetryableError("The vendor has not ended the removal within five minutes: look again later.")

    def _contact_id(self, removal: Removal, email: str, known: str) -> str:
        """The id that the audience's member of this address has now; a contact that was made anew has another one."""
        if removal.resolve_ids is None:
            return known
        found: list[Member] = []
        self.run(removal.resolve_ids(self.target, [email], found.extend))
        return next((one.contact_id for one in found if same(one.email) == email), "")

    def _opted_out(self, email: str) -> bool:
        found: list[OptOut] = []
        if self.vendor.list_optouts is not None:
            self.run(self.vendor.list_optouts(self.target, 0.0, found.extend))
        return any(same(one.email) == email for one in found)

    def _is_gone(self, removal: Removal, email: str) -> bool:
        """Look whether they are gone; the vendor has only said that it will see to it."""
        for seconds in LOOKS_S:
            self.sleep(seconds)
            found: set[str] = set()

            def tell(people: Sequence[Member], into: set[str] = found) -> None:
                into.update(same(one.email) for one in people)

            look = removal.find_members
            self.run(look(self.target, [email], tell) if look else self.vendor.list_members(self.target, tell))
            if email not in found:
                return True
        return False
