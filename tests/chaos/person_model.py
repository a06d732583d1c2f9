"""A model of one person at a vendor and in the ledger, written from the documentation alone.

Sources: docs/modes.md, docs/consent.md, docs/exports.md and docs/vendors.md. The product's code is not imported.

People are independent of one another, so the model follows each person alone. A set of beliefs
(hypotheses) describes each person. Each step maps a belief to the beliefs that may follow. An observation (the vendor's
account, the report, the ledger) removes the beliefs that contradict it. If none is left, model and product disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Attempts to send a row that the vendor rejects, with the same content (docs/modes.md, Rejected rows).
MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Contact:
    """A person at the vendor.

    `inside` says whether the person is in the audience. `status` is `ok`, `unsubscribed` (from everything),
    `left` (from this audience, by the person's own choice), `bounced` or `deleted`. `shop` says whether the custom
    field has a value.
    """

    inside: bool
    status: str = "ok"
    value: str | None = None
    shop: bool = False


@dataclass(frozen=True)
class Entry:
    """The state of a person that the ledger must imply."""

    state: str
    holders: frozenset[str] = frozenset()
    #: The value that each export delivered last.
    contents: frozenset[tuple[str, str]] = frozenset()
    #: The value that any export delivered last; None if it is not known.
    last: str | None = None
    #: A response of the vendor has shown the person in the audience.
    seen: bool = False
    #: Value, reason and number of attempts of the last rejection.
    rejection: tuple[str, str, int] | None = None
    #: Exports of the shared audience that have withheld the person without consent, or as suppressed.
    bars: frozenset[str] = frozenset()
    #: The person was in the audience before an export put them in.
    existed: bool = False

    def content(self, export: str) -> str | None:
        """Return what `export` delivered last."""
        return dict(self.contents).get(export)

    def with_content(self, export: str, value: str) -> Entry:
        """Note that `export` has delivered `value`."""
        others = frozenset(pair for pair in self.contents if pair[0] != export)
        return replace(self, contents=others | {(export, value)}, holders=self.holders | {export})


@dataclass(frozen=True)
class Row:
    """One row of a segment about one person. A `bad` row holds a value that cannot be sent."""

    value: str = "a"
    consent: bool = True
    bad: bool = False


@dataclass(frozen=True)
class RunRequest:
    """The input of one run for one person."""

    export: str
    mode: str = "upsert"
    rows: tuple[Row, ...] = ()
    suppressed: bool = False
    keep: bool = False
    shared: bool = False
    #: A withdrawal in one export applies to all exports of the shared audience.
    bars: bool = False
    #: The run reads the audience before it sends, and records people who are members already.
    reads: bool = False
    #: Which custom field a column feeds: how often it was made, as the vendor lets a run see; None if none does.
    field: int | None = None

    @property
    def refused(self) -> str | None:
        """Return the reason why the person must not be mailed, or None. Consent is checked before suppression."""
        if any(not row.consent for row in self.rows):
            return "no_consent"
        return "on_suppression_list" if self.suppressed else None

    @property
    def content(self) -> str:
        """Return the content of the row that is sent. The field is part of it in rows with a value for it."""
        value = self.rows[0].value
        return value if self.field is None or value != "C" else f"{value}@{self.field}"


# States of people that the ledger need not hold.
UNWRITTEN = frozenset({"not_added", "erased"})


# States of people that exports hold.
OURS = frozenset({"member", "removing"})


OPT_OUTS = frozenset({"unsubscribed", "left", "bounced", "left_audience", "suppressed"})


Outcome = tuple[str, str | None]


@dataclass(frozen=True)
class Belief:
    """One hypothesis about a person, with the outcomes that the last run reports."""

    contact: Contact | None = None
    entry: Entry | None = None
    rows: tuple[Outcome, ...] = ()
    removal: Outcome | None = None


@dataclass(frozen=True)
class LedgerRow:
    """A person's row in the ledger."""

    state: str
    holders: frozenset[str]
    bars: frozenset[str]
    existed: bool


def matches_ledger(entry: Entry | None, line: LedgerRow | None) -> bool:
    """Return whether the ledger's row of a person, None for no row, agrees with the entry."""
    if entry is None or (line is None and entry.state in UNWRITTEN and not entry.bars and not entry.existed):
        return line is None
    state = "not_added" if entry.state == "erased" else entry.state  # an erasure is a mark beside the ledger, not a row
    if line is None or (state, entry.bars, entry.existed) != (line.state, line.bars, line.existed):
        return False
    return line.holders == (entry.holders if entry.state in OURS else frozenset())


def with_claim(entry: Entry | None, export: str) -> Entry | None:
    """Return the entry with the export's claim: a row in the segment keeps it for members."""
    if entry is None or entry.state not in {"member", "removing"}:
        return entry
    return replace(entry, holders=entry.holders | {export})


def with_bars(entry: Entry | None, request: RunRequest) -> Entry | None:
    """Return the entry with the exports that bar the person, updated by this run's segment and suppression lists."""
    is_held = entry is not None and entry.state in {"member", "removing"}
    if not request.bars or not (request.rows or is_held):
        return entry
    old = entry or Entry("not_added")
    if request.refused:
        return replace(old, bars=old.bars | {request.export})
    return replace(old, bars=old.bars - {request.export}) if request.rows and entry else entry


def is_listed(contact: Contact | None) -> bool:
    """Return whether a read of the audience returns the person, also one who has unsubscribed from the address book."""
    return contact is not None and (contact.inside or contact.status == "left")


def with_existed(contact: Contact | None, entry: Entry | None, request: RunRequest) -> Entry | None:
    """Return the entry after the run has read who is in the audience; None if the person has no entry.

    A person that an export has added keeps what the run that added them noted.
    """
    listed = request.reads and is_listed(contact)
    if entry is not None and entry.state in OURS:
        return entry
    if entry is None or entry.state == "not_added":
        is_noted = listed or (entry is not None and entry.existed)
        return replace(entry or Entry("not_added"), existed=True) if is_noted else entry
    return entry


def existed_before(contact: Contact | None, entry: Entry | None, request: RunRequest) -> bool:
    """Return whether a person that the run sends counts as a member before any export."""
    if entry is not None and entry.state in OURS:
        return entry.existed
    if request.reads:
        return is_listed(contact)
    return entry is not None and entry.state == "not_added" and entry.existed


def removed_entry(entry: Entry, state: str) -> Entry:
    """Return the entry of a person that a run removes: no export holds them, and what was delivered does not count."""
    return replace(entry, state=state, holders=frozenset(), contents=frozenset(), last=None, existed=False)
