"""Rows of an import to the simulated Campaign Monitor, and people as it holds them."""

from __future__ import annotations


def row(email, **fields):
    pairs = [{"Key": key, "Value": value} for key, value in fields.items()]
    return {"EmailAddress": email, "ConsentToTrack": "Unchanged", "CustomFields": pairs}


def member(sim, cm, email):
    people = sim.members("campaign_monitor", cm.list)["members"]
    return next(person for person in people if person["email"] == email)
