"""Answers that the questions of several vendors share."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.vendors.probe import Answer

EMAIL_CASE_FACT, DIFFERENT = "email_case", "different"


def email_case(person: str, holder: str) -> Mapping[str, Answer]:
    """Return the answers to whether addresses in upper and lower case are the same person.

    Args:
        person: the vendor's noun for a person, such as `contact`.
        holder: what holds the people, such as `account`.
    """
    return {
        "same": Answer(f"Upper and lower case are the same {person}.", "Exports send addresses in lower case."),
        DIFFERENT: Answer(
            f"Upper and lower case are two {person}s.",
            "Exports send addresses in lower case, and withhold people who have opted out in any case. "
            f"A {person} that the {holder} has in upper case becomes two.",
        ),
    }


GONE = "gone"


def removal_deletes(of_last: str) -> Answer:
    """Return the answer `GONE`: a removal deletes the contact.

    Args:
        of_last: what the contact is taken out of, such as `off its last list`.
    """
    return Answer(
        f"A contact that is taken {of_last} is deleted.",
        "Exports with `mode='mirror'`, and undoing a run, send nothing, because a removal would delete the contact.",
    )


def why_not_removed(title: str, fact: str, audience: Audience) -> str:
    """Return why exports may not remove people from an account; empty if they may.

    Args:
        title: the vendor's title.
        fact: key of the account record whose answer may be `GONE`.
        audience: the audience; `extra` holds the facts about its account.
    """
    if audience.extra.get(fact) != GONE:
        return ""
    return (
        f"At this account, {title} deletes a contact that a removal takes out of its last audience: `airflow segexport "
        f"probe` found this out ({fact}). To fix: export with `mode='upsert'`, or ask {title}'s support, and run the "
        "probe again after a change."
    )


FIELDS_ARE_CHECKED = "Exports check that each field exists."


def unknown_field(noun: str) -> Mapping[str, Answer]:
    """Return the answers to what an import does with a field that does not exist.

    Args:
        noun: the vendor's noun for a field, such as `custom field`.
    """
    outcomes = {
        "ignored": "is ignored",
        "row_rejected": "rejects its row",
        "batch_rejected": "rejects the call",
    }
    return {name: Answer(f"An unknown {noun} {text}.", FIELDS_ARE_CHECKED) for name, text in outcomes.items()}


COUNTED_CALLS: Mapping[str, Answer] = {
    "absent": Answer("No header reports the remaining calls.", "Exports count the calls themselves."),
    "present": Answer("A header reports the remaining calls.", "Exports ignore it and count the calls themselves."),
}
"""Answers to whether headers report the remaining calls, for a vendor that publishes its rates."""

DECIMALS_AND_TIMES: Mapping[str, Answer] = {
    "kept": Answer("Decimals and times are kept.", "Nothing changes."),
    "changed": Answer("A decimal or a time is cut.", "Exports go on. Send such columns as text to keep them."),
    "rejected": Answer("A decimal or a time rejects its row.", "Send such columns as text."),
}
"""Answers to whether fields keep decimals and times."""
