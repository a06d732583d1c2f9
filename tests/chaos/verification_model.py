"""The model of a verification: which kind a person is, and what a repair leaves in the ledger (docs/verify.md)."""

from __future__ import annotations

from dataclasses import replace

from chaos.person_model import OURS, Belief, Contact
from chaos.vendor_model import Vendor

#: Kinds that `drift.parquet` names.
DRIFT = frozenset({"missing", "left", "opted_out", "barred"})


def kinds(vendor: Vendor, belief: Belief) -> set[str]:
    """Return the kinds that a verification may report of a person; none if the ledger does not have them as ours."""
    contact, entry = belief.contact, belief.entry
    if entry is None or entry.state not in OURS:
        return set()
    if entry.state == "removing":
        return {"unsettled", "barred"} if entry.bars else {"unsettled"}
    possible = {"barred" if entry.bars else observed_kind(vendor, contact)}
    if "left" in possible and not entry.seen:  # a person must have been shown in the audience to leave it
        possible = {"missing"}
    return possible | {"unsettled"} if entry.last is None else possible  # sent without a response, or added by an undo


def observed_kind(vendor: Vendor, contact: Contact | None) -> str:
    """Return the kind of a member by what the vendor shows."""
    if contact is not None and contact.status in {"unsubscribed", "left", "bounced"}:
        return "opted_out"
    if contact is not None and contact.inside:
        return "in_sync"
    return "left" if vendor.remembers else "missing"


def after_verification(belief: Belief, kind: str | None, *, repair: bool) -> Belief:
    """Return the belief after a verification: a repair forgets what was delivered to missing people."""
    if belief.entry is None or kind != "missing" or not repair:
        return belief
    return replace(belief, entry=replace(belief.entry, contents=frozenset(), last=None))
