"""What a row of the ledger keeps for each export, as SQL: claims, delivered content, rejections.

One export's values are in columns of their own; the values of the other exports are in maps by the exports' places
among the sharers. While one export alone has used the audience, the maps stay null.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_segexport.storage.ledger import MAYBE_MEMBER
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit

LAST = ("rejected_hash", "attempts", "first_rejected_at", "last_rejected_at")
"""What is kept of another export's last rejection."""

NONE = "null::map(utinyint, ubigint)"
NO_REJECTIONS = """null::map(utinyint, struct(
    rejected_hash ubigint, attempts utinyint, first_rejected_at timestamptz, last_rejected_at timestamptz))"""
CLEARED = "null::ubigint, null::varchar, null::utinyint, null::timestamptz, null::timestamptz"
"""No rejection: `rejected_hash`, `reason`, `attempts`, `first_rejected_at`, `last_rejected_at`."""

NOT_REJECTED = f"null::utinyint, {NO_REJECTIONS}"
"""No rejection: `rejected_by`, `rejections`."""


@dataclass(frozen=True, slots=True)
class PerExport:
    """SQL of an export's part in a row; `l` is the row as it was.

    Attributes:
        slot: the export's place among the sharers.
        sharers_mask: the claims on a person to whom it delivers.
        hashes: what the others have delivered, when it delivers.
        last: its own last rejection, by the columns of `LAST`.
        delivered: the last rejection (as `CLEARED`) after it has delivered.
        delivered_by: `rejected_by`, `rejections` after it has delivered.
        refused_by: `rejected_by`, `rejections` after its row was rejected.
    """

    slot: str
    sharers_mask: str
    hashes: str
    last: dict[str, str]
    delivered: str = CLEARED
    delivered_by: str = NOT_REJECTED
    refused_by: str = ""


def of(origin: LedgerCommit) -> PerExport:
    """The export of a run."""
    slot = f"{origin.sharer_bit.bit_length() - 1}::utinyint"
    there = f"(l.state in {MAYBE_MEMBER})"
    sharers_mask = f"(coalesce(if({there}, l.sharers_mask, 0), 0)::ubigint | {origin.sharer_bit}::ubigint)"
    if not origin.is_shared:
        last = {name: f"l.{name}" for name in LAST}
        return PerExport(slot, sharers_mask, NONE, last, refused_by=f"{slot}, {NO_REJECTIONS}")
    # What another export has delivered last stays known when this one delivers, and so does its last rejection.
    moved = "map_concat(l.hashes, map([l.sent_by], [l.row_hash]))"
    hashes = f"if({there} and l.sent_by <> {slot}, {moved}, if({there}, l.hashes, null))"
    theirs = f"(l.rejected_by <> {slot})"
    packed = ", ".join(f"{name} := l.{name}" for name in LAST)
    kept = f"map_from_entries(list_filter(map_entries(l.rejections), lambda e: e.key <> {slot}))"
    return PerExport(
        slot,
        sharers_mask,
        hashes,
        {name: own(name, slot, "l.") for name in LAST},
        delivered=", ".join(
            f"if({theirs}, l.{name}, null)"
            for name in ("rejected_hash", "reason", "attempts", "first_rejected_at", "last_rejected_at")
        ),
        delivered_by=f"if({theirs}, l.rejected_by, null), {kept}",
        refused_by=f"""{slot}, if({theirs} and l.rejected_hash is not null,
            map_concat({kept}, map([l.rejected_by], [struct_pack({packed})])), {kept})""",
    )


def own(name: str, slot: int | str, row: str = "") -> str:
    """SQL of an export's own last rejection: a column of `LAST`, in a ledger that several exports have used."""
    return f"if({row}rejected_by = {slot}, {row}{name}, {row}rejections[{slot}::utinyint].{name})"


def own_hash(slot: int) -> str:
    """SQL of what one export has delivered last, in a row of the ledger."""
    return f"if(sent_by = {slot}, row_hash, hashes[{slot}::utinyint])"
