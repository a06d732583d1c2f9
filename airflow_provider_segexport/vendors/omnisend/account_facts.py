"""Omnisend: what a probe has found out about a brand, and the brands to which exports therefore send nothing."""

from __future__ import annotations

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.vendors.omnisend.tags import FACT, MERGE

LEFT_OUT_FACT = "tags_left_out"
UNTOUCHED, CLEARED = "kept", "cleared"
NEW_STATUS_FACT = "new_status"
STATUS_DATES_FACT = "status_dates"
LATEST_WINS, LAST_WINS = "latest", "last"


def why_not_exported(audience: Audience) -> str:
    """Return why exports send nothing to an account, by what is known of it; empty if they may."""
    extra = audience.extra
    if extra.get(NEW_STATUS_FACT) == "subscribed":
        return (
            "Omnisend makes every new contact of this brand a subscriber, although exports send no consent. "
            "`airflow segexport probe` found this out. To fix: ask Omnisend's support how the API creates contacts "
            "that are not subscribed, change it, and run the probe again."
        )
    if extra.get(LEFT_OUT_FACT) == CLEARED and FACT in extra and extra[FACT] != MERGE:
        return (
            "At this brand, an upsert at Omnisend removes a contact's tags, whether it holds tags or not. "
            "`airflow segexport probe` found this out. Exports would delete the tags of others. To fix: ask Omnisend's "
            "support, and run the probe again after a change."
        )
    return ""


def why_not_subscribed(audience: Audience) -> str:
    """Return why proof of consent may subscribe no person of an account; empty if it may."""
    if audience.extra.get(STATUS_DATES_FACT) != LAST_WINS:
        return ""
    return (
        "At this brand, Omnisend replaces a newer opt-out by an older consent: `airflow segexport probe` found this "
        "out. A person who opts out during the run would be subscribed again. To fix: remove `subscribe` from the "
        "export, or ask Omnisend's support, and run the probe again after a change."
    )
