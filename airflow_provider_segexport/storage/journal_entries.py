"""Entries of a journal, and how they add up to the state of each batch."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from airflow_provider_segexport.model import BatchKind
from airflow_provider_segexport.storage.sealing import with_checksum

AHEAD_VALID_S = 30.0
"""Seconds after which an intent that was written ahead is written again before its call leaves, so that the time of an
unanswered call is known to that precision."""


class State(StrEnum):
    """The last recorded state of a batch."""

    SENDING = "sending"
    SUBMITTED = "submitted"
    SETTLED = "settled"
    SPLIT = "split"


ORDER = (State.SENDING, State.SUBMITTED, State.SPLIT, State.SETTLED)
"""The order in which a batch changes its state."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A state of one batch.

    Attributes:
        batch: its id.
        rows: of the batch.
        job_id: of the vendor's import job, once submitted.
        accepted, rejected: rows with a result.
        retry: indexes of rows that the vendor asks to send again.
        unattributed: rows whose result is open: counted as rejected but not named, or not confirmed.
        unattributed_reason: the reason for it.
        attributed: rows whose rejection was found by reading the audience back.
        resubscribe: indexes of rows that are sent again to add people that an export removed.
        has_rows: `batch_results/` has a file of the batch.
        written_at: epoch seconds.
        ahead: of an intent that was written before its call was due, the session that wrote it. The call may have left.
        withdrawn: the session whose intent, written ahead, was not used: the call has not left.
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
        """When the call of an intent was due at the latest, in epoch seconds."""
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
        msgspec.DecodeError: it holds none.
    """
    return _DECODER.decode(line)


def apply(states: dict[str, Entry], entry: Entry) -> None:
    """Keep a batch's last entry, with the job that the batch became.

    A state never goes back: a late entry, from a machine whose clock is behind, changes nothing. An intent that is
    withdrawn was written ahead by the same session, and no other entry of the batch has followed it.
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
