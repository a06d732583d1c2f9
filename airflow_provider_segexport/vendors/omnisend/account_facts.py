"""Omnisend: the facts that a probe records about a brand, and the facts that stop exports to it."""

from __future__ import annotations

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.vendors.omnisend.tags import FACT, MERGE

LEFT_OUT_FACT = "tags_left_out"
UNTOUCHED, CLEARED = "kept", "cleared"
NEW_STATUS_FACT = "new_status"
STATUS_DATES_FACT = "status_dates"
LATEST_WINS, LAST_WINS = "latest", "last"


def why_not_exported(audience: Audience) -> str:
    """Return why exports may not send to a brand; empty if they may."""
    extra = audience.extra
    if extra.get(NEW_STATUS_FACT) == "subscribed":
        return (
            "Omnisend makes every new contact of this brand a subscriber, although exports send no consent, as "
            "`airflow segexport probe` has shown. To fix: ask Omnisend's support how the API creates contacts "
            "that are not subscribed, change it, and run the probe again."
        )
    if extra.get(LEFT_OUT_FACT) == CLEARED and FACT in extra and extra[FACT] != MERGE:
        return (
            "At this Omnisend brand, an upsert removes a contact's tags, with or without tags of its own, as `airflow "
            "segexport probe` has shown. Exports would delete the tags of others. To fix: ask Omnisend's "
            "support, and run the probe again after a change."
        )
    return ""


def why_not_subscribed(audience: Audience) -> str:
    """Return why proof of consent may not subscribe people of a brand; empty if it may."""
    if audience.extra.get(STATUS_DATES_FACT) != LAST_WINS:
        return ""
    return (
        "At this brand, Omnisend replaces a newer opt-out with an older consent, as `airflow segexport probe` has "
        "shown. A person who opts out during the run would be subscribed again. To fix: remove `subscribe` from the "
        "export, or ask Omnisend's support, and run the probe again after a change."
    )
