"""Removes people from an account's audience as the pipeline does, one batch after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vendors.harness import VendorHarness

from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchKind,
    BatchResult,
    JobId,
    JobState,
    Reason,
    batch_id,
)
from airflow_provider_segexport.vendors.base import Removal


class RemovalRunner:
    """The removals of one account. `outcomes` has the outcome of each address: None if removed, else the reason."""

    def __init__(self, account: VendorHarness) -> None:
        self.account = account
        self.target: Audience = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
        removal = account.vendor.removal
        assert removal
        self.removal: Removal = removal
        self.outcomes: dict[str, Reason | None] = {}
        self.polls = 0

    def ids(self, emails: Sequence[str], members: int | None = None) -> dict[str, str]:
        """Return the contact ids of members, from the vendor's `resolve_ids` or `find_members`."""
        ask = self.removal.resolve_ids or self.removal.find_members
        assert ask
        ids: dict[str, str] = {}
        target = self.target if members is None else replace(self.target, member_count=members)
        self.account.call(
            ask(target, emails, lambda page: ids.update({member.email: member.contact_id for member in page}))
        )
        return ids

    def batch(self, emails: Sequence[str]) -> Batch:
        items = emails
        if self.removal.by_id:
            ids = self.ids(emails)
            emails = [email for email in emails if email in ids]
            items = [ids[email] for email in emails]
        return Batch(batch_id(items, kind=BatchKind.REMOVE), range(len(items)), emails, items, kind=BatchKind.REMOVE)

    def leave(self, emails: Sequence[str]) -> dict[str, Reason | None]:
        size = self.removal.limits.batch_rows
        for start in range(0, len(emails), size):
            batch = self.batch(emails[start : start + size])
            if len(batch):
                self.settle(batch)
        return self.outcomes

    def settle(self, batch: Batch) -> None:
        settled = self.answer(batch)
        self.outcomes |= dict.fromkeys(batch.emails)
        self.outcomes |= {batch.emails[rejection.index]: rejection.reason for rejection in settled.rejected}
        if settled.retry:
            self.settle(batch.subset(settled.retry, attempt=batch.attempt + 1))

    def answer(self, batch: Batch) -> BatchResult:
        reply = self.account.call(self.removal.remove(self.target, batch))
        while isinstance(reply, JobId):
            self.account.sim.clock.advance(5)
            self.polls += 1
            (state,) = self.account.call(self.removal.poll(self.target, [reply.id])).values()
            if state is JobState.ACCEPTED:
                return BatchResult()
            if state is not JobState.RUNNING:
                reply = self.account.call(self.removal.collect(self.target, batch, reply.id))
        return reply
