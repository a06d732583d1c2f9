"""Pages from templates: everything that is put into one is escaped, whoever wrote it."""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from airflow_provider_segexport.counted import counted, noun
from airflow_provider_segexport.plugins import charts, labels
from airflow_provider_segexport.plugins.audiences import AudienceKey, RunIdentity

HERE = pathlib.Path(__file__).parent
ASSETS = {"style.css": "text/css", "page.js": "text/javascript"}


@functools.cache
def _templates() -> Environment:
    env = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(count=count, counted=counted, noun=noun, soft=soft)
    env.filters.update(clock=labels.clock, day=labels.day, lasted=labels.lasted, size=labels.size)
    env.globals.update(
        ago=labels.ago, reason=labels.reason, share=charts.share, meanings=labels.MEANINGS, outcomes=labels.OUTCOMES
    )
    return env


def render(name: str, found: Mapping[str, Any]) -> str:
    """A page."""
    return _templates().get_template(name).render(found)


@functools.cache
def asset(name: str) -> bytes:
    """A file that stands beside the pages."""
    return (HERE / "assets" / name).read_bytes()


def count(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def soft(text: str) -> Markup:
    """A name that may be broken after its underscores, dashes and slashes, and nowhere else where it fits."""
    return Markup("<wbr>").join(re.split(r"(?<=[_/-])", text))


# Addresses are relative, so that they hold below any base path: each of our pages stands one step below it.


def run_address(who: RunIdentity) -> str:
    """The DAG run in Airflow's UI."""
    return f"../dags/{quote(who.dag_id, safe='')}/runs/{quote(who.run_id, safe='')}"


def tab_address(who: RunIdentity, mapped: str) -> str:
    """The tab *Export* of the task instance in Airflow's UI."""
    return f"{run_address(who)}/tasks/{quote(who.task_id, safe='')}{mapped}/plugin/segment_export"


def audience_address(key: AudienceKey) -> str:
    """The page of an audience."""
    return "audience?" + urlencode({"vendor": key.vendor, "account": key.account, "audience": key.audience})


def task_query(who: RunIdentity, map_index: int) -> str:
    """What names a task instance to our own addresses."""
    return urlencode({"dag_id": who.dag_id, "run_id": who.run_id, "task_id": who.task_id, "map_index": str(map_index)})
