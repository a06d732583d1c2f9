"""People as the simulated dotdigital holds them, and the failures that its reports name."""

from __future__ import annotations


def member(sim, email, audience="all-contacts"):
    people = sim.members("dotdigital", audience)["members"]
    return next(person for person in people if person["email"] == email)


def codes(report):
    return {item["identifiers"]["email"]: item["failures"][0]["failureCode"] for item in report["failures"]}
