"""The audience in the vendor's own pages: `run folder -> link`."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_segexport.plugins.audiences import RunIdentity
from airflow_provider_segexport.plugins.task_run import home, newest
from airflow_provider_segexport.storage.paths import StoragePath, read
from airflow_provider_segexport.storage.run_folder import audience_from_facts
from airflow_provider_segexport.vendors.registry import VENDORS


def vendor_link(root: StoragePath, vendor: str, who: RunIdentity) -> str:
    """Where the audience of this run stands at the vendor; empty where the run's plan is gone."""
    folder = newest(home(root / "runs", who))
    return link_of(folder, vendor) if folder is not None else ""


def link_of(folder: StoragePath, vendor: str = "") -> str:
    """The same from the run's folder."""
    try:
        plan: Any = json.loads(read(folder / "plan.json"))
        link = VENDORS[vendor or plan["vendor"]].audience_link(audience_from_facts(plan["audience_facts"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return link if link.startswith(("https://", "http://")) else ""
