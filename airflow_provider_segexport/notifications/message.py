"""Builds the message about the end of a task or DAG run: `Airflow's context -> texts, error code, links`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_segexport.error_help import ERROR_HELP
from airflow_provider_segexport.notifications.formats import formats
from airflow_provider_segexport.operators.links import base_url, task_path
from airflow_provider_segexport.operators.notices import MESSAGE, default_message

FAILED_DAG_RUN = "The DAG run has failed. Its failed tasks have the reason in their logs."


def export_message(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message of a callback's context, with every key that the class `SegmentExportNotifier` documents.

    Args:
        context: the context of a callback of a DAG or a task; the task need not be an export.
    """
    message = _message(context)
    code = str(message.get("error_code") or "")
    links = _links(context, code)
    return complete(message, links, code)


def complete(message: Mapping[str, Any], links: Mapping[str, str], code: str) -> dict[str, Any]:
    """Return a message with all keys.

    Args:
        message: `title`, `body`, and any other keys that the caller has values for.
        links: URL by label.
        code: the error's code; empty if there is none.
    """
    help_entry = ERROR_HELP.get(code)
    advice = help_entry.advice if help_entry else ""
    body = "\n".join(filter(None, [message["body"], f"What to do: {_plain(advice)}" if advice else ""]))
    title = " ".join(str(message["title"]).split())
    return {
        "error": "",
        "run_folder": None,
        **message,
        "title": title,
        "error_code": code,
        "advice": _plain(advice),
        "log_url": links.get("Log", ""),
        "run_url": links.get("Run", ""),
        "report_url": links.get("Report", ""),
        "help_url": links.get("Help", ""),
        **formats(title, body, links),
    }


def help_link(code: str) -> dict[str, str]:
    """Return `{"Help": URL}` of the page that explains an error code; empty without a code or `[api] base_url`."""
    root = base_url()
    return {"Help": f"{root}/segexport/errors#{quote(code)}"} if root and code in ERROR_HELP else {}


def _plain(advice: str) -> str:
    """Return the advice without Markdown's marks for code and emphasis."""
    return advice.replace("`", "").replace("*", "")


def _message(context: Mapping[str, Any]) -> dict[str, Any]:
    message = context.get(MESSAGE)
    if message is not None:
        return dict(message)
    if "reason" in context:  # the callback of a DAG
        return _of_dag_run(context)
    return default_message(dict(context), _kind(context))


def _kind(context: Mapping[str, Any]) -> str:
    """Return which callback of a task has this context, one of `notices.KINDS`.

    Airflow does not name the callback. If the worker of a task died, the DAG processor calls it, with a task instance
    that has neither a state nor a start.
    """
    instance = _instance(context)
    state = getattr(instance, "state", "")
    worker_lost = state is None and getattr(instance, "start_date", None) is None
    match getattr(state, "value", state):
        case "skipped":
            return "skipped"
        case "failed" | "up_for_retry" | "upstream_failed":
            return "failure"
        case _:
            return "failure" if worker_lost or context.get("exception") is not None else "success"


def _of_dag_run(context: Mapping[str, Any]) -> dict[str, Any]:
    dag_id = getattr(context.get("dag") or context.get("dag_run"), "dag_id", "?")
    if str(context["reason"]).endswith("success"):
        return {"title": f"{dag_id} has ended", "body": f"{dag_id} has ended."}
    return {"title": f"{dag_id} has stopped", "body": FAILED_DAG_RUN, "error": FAILED_DAG_RUN}


def _instance(context: Mapping[str, Any]) -> Any:
    return context.get("ti") or context.get("task_instance")


def _links(context: Mapping[str, Any], code: str) -> dict[str, str]:
    """Return URLs of Airflow's UI by label; empty if the configuration has no `[api] base_url`."""
    root, instance = base_url(), _instance(context)
    if not root:
        return {}
    links = {}
    if instance is not None and "reason" not in context:
        path = f"{root}/{task_path(instance)}"
        number = getattr(instance, "try_number", None)
        links["Log"] = f"{path}?try_number={number}" if number else path
        if context.get(MESSAGE) is not None:
            links["Report"] = f"{path}/plugin/segment_export"
    dag_id = getattr(context.get("dag") or instance, "dag_id", "")
    run_id = getattr(instance, "run_id", "") or str(context.get("run_id") or "")
    if dag_id and run_id:
        links["Run"] = f"{root}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    return {**links, **help_link(code)}
