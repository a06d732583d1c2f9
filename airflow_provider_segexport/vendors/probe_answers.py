"""Answers that the questions of several vendors share."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_segexport.vendors.probe import Answer


def email_case(person: str, holder: str) -> Mapping[str, Answer]:
    """Return the answers to whether upper and lower case are the same person.

    Args:
        person: the vendor's noun for a person, such as `contact`.
        holder: what holds the people, such as `account`.
    """
    return {
        "same": Answer(f"Upper and lower case are the same {person}.", "Exports send addresses in lower case."),
        "different": Answer(
            f"Upper and lower case are two {person}s.",
            f"Exports send addresses in lower case. A {person} that the {holder} has in upper case becomes two.",
        ),
    }


DECIMALS_AND_TIMES: Mapping[str, Answer] = {
    "kept": Answer("Decimals and times are kept.", "Nothing changes."),
    "changed": Answer("A decimal or a time is cut.", "Exports go on. Send such columns as text to keep them."),
    "rejected": Answer("A decimal or a time rejects its row.", "Send such columns as text."),
}
"""Answers to whether fields keep decimals and times."""
