"""Changes that other programs make to people at each vendor, and how a person is read out of the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from chaos.person_model import Contact
from vendors.harness import VendorHarness
from vendors.rows import ROWS

NAME_FIELDS = {"constant_contact": "first_name", "dotdigital": "FIRSTNAME", "omnisend": "firstName"}
SHOP_KEYS = {
    "campaign_monitor": "FavouriteShop",
    "constant_contact": "cf:Favourite_Shop",
    "dotdigital": "FAVOURITE_SHOP",
}
STATES_IN_LIST = frozenset({"campaign_monitor"})
"""Vendors that keep a person's status for each list: only people who get mail are members."""

STATUSES = {
    "unsubscribe": "unsubscribed",
    "bounce": "bounced",
    "remove": "deleted",
    "delete": "deleted",
    "leave": "unsubscribedFromList",
}


MAILABLE = frozenset({"active", "subscribed"})


def act(account: VendorHarness, email: str, action: str) -> None:
    """Apply the action in the simulator."""
    sim, name, audience = account.sim, account.name, account.audience
    if action in {"add", "recreate"}:
        if action == "recreate":
            sim.seed(name, [{"email": email, "status": "deleted"}], None)
        value: dict[str, Any] = {"name": "H"}
        if name in NAME_FIELDS:
            value = {"fields": {**_held_fields(account, email), NAME_FIELDS[name]: "H"}}
        status = {"omnisend": "nonSubscribed"}.get(name, "active")
        sim.seed(name, [{"email": email, "status": status, **value}], audience)
    elif name == "constant_contact" and action in {"unsubscribe", "leave"}:
        sim.act(name, {"leave": "leave_list"}.get(action, action), {"email": email, "audience": audience})
    elif name == "omnisend" and action == "unsubscribe":
        sim.act(name, "unsubscribe", {"email": email})
    else:
        inside = action in {"remove", "leave"} or (name in STATES_IN_LIST and action != "delete")
        sim.seed(name, [{"email": email, "status": STATUSES[action]}], audience if inside else None)


def _held_fields(account: VendorHarness, email: str) -> dict[str, Any]:
    """Return the fields of a contact: a hand that adds a person to an audience leaves the other values as they are."""
    views = ("all-contacts", "deleted") if account.name == "constant_contact" else ("all-contacts",)
    contacts = [row for view in views for row in account.sim.members(account.name, view)["members"]]
    return next((dict(row["fields"]) for row in contacts if row["email"] == email), {})


def contact(vendor: str, member: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> Contact | None:
    """Read a person out of the simulator's views."""
    held = member or other
    if held is None:
        return None
    status = str(held["status"]).lower()
    shop = bool(held["fields"].get(SHOP_KEYS.get(vendor, "")))
    value = held["fields"].get(NAME_FIELDS[vendor]) if vendor in NAME_FIELDS else str(held["name"]) or None
    if vendor in STATES_IN_LIST:
        plain = "ok" if member is None or status in MAILABLE else status
        plain = "unsubscribed" if plain == ROWS[vendor].opted_out else plain
        return Contact(member is not None and plain == "ok", plain, value, shop)
    plain = "unsubscribed" if status == "unsubscribed" else "ok"
    if member is not None and member.get("in_list") == "suppressed":
        return Contact(inside=False, status="left", value=value, shop=shop)
    return Contact(member is not None, plain, value, shop)


def changed(vendor: str, held: Contact | None, action: str) -> Contact | Literal[False] | None:
    """Return the contact after another hand's action; False if it does not apply."""
    if action == "add":
        idle = held is None or (not held.inside and held.status == "ok")
        shop = held is not None and held.shop
        return Contact(inside=True, value="H", shop=shop) if idle or vendor in STATES_IN_LIST else False
    if held is None:
        return False
    if action == "recreate":
        return Contact(inside=True, value="H")
    if action == "delete" and vendor != "constant_contact":
        return None
    return _less(vendor, held, action)


def _less(vendor: str, held: Contact, action: str) -> Contact | Literal[False]:
    """Return the contact after an action that ends something."""
    out = replace(held, inside=False, status="ok")
    if action == "delete":  # Constant Contact keeps what it held, and restores it
        return out if held.status == "ok" else False
    if not held.inside or held.status != "ok":
        return False
    if action == "leave" and vendor == "constant_contact":
        return out
    if action == "remove":
        return replace(out, status="deleted") if vendor == "campaign_monitor" else out
    status = {"unsubscribe": "unsubscribed", "bounce": "bounced", "leave": "left"}[action]
    inside = vendor not in STATES_IN_LIST and action == "unsubscribe"
    return replace(held, inside=inside, status=status)
