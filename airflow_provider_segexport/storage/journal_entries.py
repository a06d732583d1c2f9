"""Entries of a journal, and how they add up to the state of each batch."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from airflow_provider_segexport.model import BatchKind
from airflow_provider_segexport.storage.sealing import with_checksum

AHEAD_VALID_S = 30.0
"""Seconds after which an intent that was written ahead is written again before its call is sent. The time of an
unanswered call is therefore known to within this many seconds."""


class State(StrEnum):
    """The last recorded state of a batch."""

    SENDING = "sending"
    SUBMITTED = "submitted"
    SETTLED = "settled"
    SPLIT = "split"


ORDER = (State.SENDING, State.SUBMITTED, State.SPLIT, State.SETTLED)
"""The order of a batch's states."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A state of one batch.

    Attributes:
        batch: id of the batch.
        rows: number of the batch's rows.
        job_id: id of the vendor's import job; empty until the batch is submitted.
        accepted, rejected: numbers of rows with that result.
        retry: indexes of rows that the vendor asks to send again.
        unattributed: number of rows whose result is open, because the vendor only counted rejections or has not
            confirmed the rows.
        unattributed_reason: reason of the rejections that the vendor only counted.
        attributed: number of rows whose rejection was found by reading the audience back.
        resubscribe: indexes of rows that are sent again to add people that an export removed.
        has_rows: whether `batch_results/` has a file of the batch.
        written_at: epoch seconds.
        ahead: session that wrote this intent ahead of its call; empty for any other entry. The call may have been sent.
        withdrawn: session that withdraws an intent which it wrote ahead. The call was not sent.
    """

    batch: str
    state: State
    rows: int
    job_id: str = ""
    accepted: int = 0
    rejected: int = 0
    retry: tuple[int, ...] = ()
    unattributed: int = 0
    unattributed_reason: str = ""
    attributed: int = 0
    resubscribe: tuple[int, ...] = ()
    has_rows: bool = False
    written_at: float = 0.0
    ahead: str = ""
    withdrawn: str = ""

    @property
    def is_removal(self) -> bool:
        """Whether the batch removes people."""
        return self.batch.startswith(BatchKind.REMOVE)

    @property
    def is_planned(self) -> bool:
        """Whether the batch is one of the plan, and not a part of one that was sent again."""
        return "-" not in self.batch.removeprefix(BatchKind.REMOVE)

    @property
    def may_leave_until(self) -> float:
        """The latest time at which the call of an intent may have been sent, epoch seconds."""
        return self.written_at + (AHEAD_VALID_S if self.ahead else 0.0)


def upserted_rows(entries: Iterable[Entry]) -> tuple[int, int]:
    """Return how many profiles the vendor has accepted and rejected so far. Removals are of people, and not counted."""
    settled = [entry for entry in entries if entry.state is State.SETTLED and not entry.is_removal]
    return sum(entry.accepted for entry in settled), sum(entry.rejected for entry in settled)


_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(Entry)


def encoded(entry: Entry) -> bytes:
    """Return the line of an entry, with its checksum."""
    return with_checksum(_ENCODER.encode(entry))


def decoded(line: bytes) -> Entry:
    """Return the entry in a line.

    Raises:
        msgspec.DecodeError: the line holds no entry of this version.
    """
    return _DECODER.decode(line)


def apply(states: dict[str, Entry], entry: Entry) -> None:
    """Apply an entry to the last entry of each batch. The batch keeps its job id.

    A batch never returns to an earlier state in `ORDER`, so a late entry changes nothing. A withdrawal deletes the
    entry of its batch only if that is the intent which the same session wrote ahead.
    """
    before = states.get(entry.batch)
    if entry.withdrawn:
        if before is not None and before.state is State.SENDING and before.ahead == entry.withdrawn:
            del states[entry.batch]
        return
    if before is None or ORDER.index(entry.state) >= ORDER.index(before.state):
        if before is not None and before.job_id and not entry.job_id:
            entry = replace(entry, job_id=before.job_id)
        states[entry.batch] = entry
