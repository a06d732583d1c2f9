"""SQL of what a ledger row holds for each export: claim, delivered content, last rejection.

One export's values are in columns of their own. The values of the other exports are in maps, by the exports' positions
among the sharers. While only one export has ever used the audience, the maps are null.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_segexport.storage.ledger_facts import LedgerCommit
from airflow_provider_segexport.storage.ledger_schema import MAYBE_MEMBER

LAST = ("rejected_hash", "attempts", "first_rejected_at", "last_rejected_at")
"""Columns of an export's last rejection, and fields of the struct for another export's."""

NO_HASHES = "null::map(utinyint, ubigint)"
NO_REJECTIONS = """null::map(utinyint, struct(
    rejected_hash ubigint, attempts utinyint, first_rejected_at timestamptz, last_rejected_at timestamptz))"""
NOT_REJECTED = "null::ubigint, null::varchar, null::utinyint, null::timestamptz, null::timestamptz"
"""No rejection: `rejected_hash`, `reason`, `attempts`, `first_rejected_at`, `last_rejected_at`."""

NOT_REJECTED_BY = f"null::utinyint, {NO_REJECTIONS}"
"""No rejection: `rejected_by`, `rejections`."""


@dataclass(frozen=True, slots=True)
class PerExport:
    """SQL of one export's values in a row; `l` is the person's previous row.

    Attributes:
        slot: the export's position among the sharers, from 0.
        sharers_mask: the claims on a person after the export has delivered a row.
        hashes: the column `hashes` after the export has delivered a row.
        last: the export's own last rejection, by the columns of `LAST`.
        delivered: the columns of `NOT_REJECTED` after the export has delivered a row.
        delivered_by: the columns `rejected_by` and `rejections` after the export has delivered a row.
        rejected_by: the columns `rejected_by` and `rejections` after the export's row was rejected.
    """

    slot: str
    sharers_mask: str
    hashes: str
    last: dict[str, str]
    delivered: str = NOT_REJECTED
    delivered_by: str = NOT_REJECTED_BY
    rejected_by: str = ""


def of(origin: LedgerCommit) -> PerExport:
    """Return the SQL for the export of a run."""
    slot = f"{origin.sharer_bit.bit_length() - 1}::utinyint"
    is_member = f"(l.state in {MAYBE_MEMBER})"
    sharers_mask = f"(coalesce(if({is_member}, l.sharers_mask, 0), 0)::ubigint | {origin.sharer_bit}::ubigint)"
    if not origin.is_shared:
        last = {name: f"l.{name}" for name in LAST}
        return PerExport(slot, sharers_mask, NO_HASHES, last, rejected_by=f"{slot}, {NO_REJECTIONS}")
    # What another export delivered last, and its last rejection, move into the maps when this export delivers.
    with_previous = "map_concat(l.hashes, map([l.sent_by], [l.row_hash]))"
    hashes = f"if({is_member} and l.sent_by <> {slot}, {with_previous}, if({is_member}, l.hashes, null))"
    by_other = f"(l.rejected_by <> {slot})"
    packed = ", ".join(f"{name} := l.{name}" for name in LAST)
    other_rejections = f"map_from_entries(list_filter(map_entries(l.rejections), lambda e: e.key <> {slot}))"
    columns = (LAST[0], "reason", *LAST[1:])
    return PerExport(
        slot,
        sharers_mask,
        hashes,
        {name: own(name, slot, "l.") for name in LAST},
        delivered=", ".join(f"if({by_other}, l.{name}, null)" for name in columns),
        delivered_by=f"if({by_other}, l.rejected_by, null), {other_rejections}",
        rejected_by=f"""{slot}, if({by_other} and l.rejected_hash is not null,
            map_concat({other_rejections}, map([l.rejected_by], [struct_pack({packed})])), {other_rejections})""",
    )


def own(name: str, slot: int | str, row: str = "") -> str:
    """Return SQL of an export's own last rejection, in a ledger that several exports have used.

    Args:
        name: a column of `LAST`.
        slot: the export's position among the sharers, from 0.
        row: alias of the ledger row with a dot; empty if columns are unqualified.
    """
    return f"if({row}rejected_by = {slot}, {row}{name}, {row}rejections[{slot}::utinyint].{name})"


def own_hash(slot: int) -> str:
    """Return SQL of the content that one export delivered last, in a row of the ledger."""
    return f"if(sent_by = {slot}, row_hash, hashes[{slot}::utinyint])"
