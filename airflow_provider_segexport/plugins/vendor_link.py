"""The audience in the vendor's own pages: `run folder -> link`."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_segexport.plugins.cards import Identity
from airflow_provider_segexport.plugins.task_run import home, newest
from airflow_provider_segexport.ports.places import Place, read
from airflow_provider_segexport.ports.run_folder import target_of
from airflow_provider_segexport.vendors import VENDORS


def vendor_link(root: Place, vendor: str, who: Identity) -> str:
    """Where the audience of this run stands at the vendor; empty where the run's plan is gone."""
    folder = newest(home(root / "runs", who))
    return link_of(folder, vendor) if folder is not None else ""


def link_of(folder: Place, vendor: str = "") -> str:
    """The same from the run's folder."""
    try:
        plan: Any = json.loads(read(folder / "plan.json"))
        link = VENDORS[vendor or plan["vendor"]].audience_link(target_of(plan["target"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return link if link.startswith(("https://", "http://")) else ""
