"""Renders pages from templates. Every inserted value is escaped."""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from airflow_provider_segexport.counted import counted, noun
from airflow_provider_segexport.json_values import integer, text
from airflow_provider_segexport.plugins import charts, labels
from airflow_provider_segexport.plugins.audiences import AudienceKey, RunIdentity

PLUGIN_FOLDER = pathlib.Path(__file__).parent
ASSETS = {"style.css": "text/css", "page.js": "text/javascript"}


@functools.cache
def _templates() -> Environment:
    env = Environment(
        loader=FileSystemLoader(PLUGIN_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(count=count, counted=counted, noun=noun, soft=soft, marked=marked)
    env.filters.update(integer=integer, text=text)
    env.filters.update(clock=labels.clock, iso=labels.iso, day=labels.day, lasted=labels.lasted, size=labels.size)
    env.globals.update(
        account_facts=labels.account_facts,
        ago=labels.ago,
        reason=labels.reason,
        share=charts.share,
        meanings=labels.MEANINGS,
        outcomes=labels.OUTCOMES,
    )
    return env


def render(name: str, values: Mapping[str, Any]) -> str:
    """Render a template."""
    return _templates().get_template(name).render(values)


@functools.cache
def asset(name: str) -> bytes:
    """Return the style sheet or the script."""
    return (PLUGIN_FOLDER / "assets" / name).read_bytes()


def count(number: int) -> str:
    """Return a number with its thousands grouped."""
    return f"{number:,}"


def soft(text: str) -> Markup:
    """Return a name as markup that the browser may break after underscores, dashes and slashes."""
    return Markup("<wbr>").join(re.split(r"(?<=[_/-])", text))


def marked(text: str) -> Markup:
    """Return a text in which names between backquotes are code, and names between asterisks are emphasised."""
    markup = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*([^*]+)\*", r"<em>\1</em>", markup))  # noqa: S704 - the text was escaped


# Addresses are relative, so that they are valid below any base path. Every page is `<base path>/segexport/<name>`.


def run_address(run: RunIdentity) -> str:
    """Return the address of the DAG run in Airflow's UI."""
    return f"../dags/{quote(run.dag_id, safe='')}/runs/{quote(run.run_id, safe='')}"


def log_address(run: RunIdentity, mapped_path: str) -> str:
    """Return the address of the task instance's log in Airflow's UI."""
    return f"{run_address(run)}/tasks/{quote(run.task_id, safe='')}{mapped_path}"


def tab_address(run: RunIdentity, mapped_path: str) -> str:
    """Return the address of the task instance's tab *Export* in Airflow's UI."""
    return f"{log_address(run, mapped_path)}/plugin/segment_export"


def audience_address(key: AudienceKey) -> str:
    """Return the address of an audience's page."""
    return "audience?" + urlencode({"vendor": key.vendor, "account": key.account, "audience": key.audience})


def task_query(run: RunIdentity, map_index: int) -> str:
    """Return the query that names a task instance in the addresses of the tab and of its downloads."""
    return urlencode({"dag_id": run.dag_id, "run_id": run.run_id, "task_id": run.task_id, "map_index": str(map_index)})
