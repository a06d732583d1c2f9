"""Gives a task's callbacks a message, however the task ends: `context -> title, body, error, report`.

A task that ends well, or by an error of its own, has put the message into the context. A template that does not render,
`pre_execute`, a timeout, a skip or a kill ends it elsewhere, perhaps in another process.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout

MESSAGE = "segexport"
"""Key of the message in the context of a task: `title`, `body`, `error`, `run_folder`."""

KINDS = ("execute", "failure", "retry", "skipped", "success")
"""The callbacks of a task: `on_<kind>_callback`."""

BROKEN_OFF = frozenset({"failure", "retry", "skipped"})
TITLES = {"execute": "starts", "skipped": "was skipped", "success": "has ended"}
KILLED = "The task was killed, or its worker died. A retry goes on where this one stopped."


@dataclass(frozen=True, slots=True)
class WithMessage:
    """A callback whose context holds a message.

    Attributes:
        callback: the user's own; a function or a notifier.
        kind: one of `KINDS`.
    """

    callback: Callable[[Any], Any]
    kind: str

    def __call__(self, context: Any) -> Any:
        """Add the message where it is missing, or where it speaks of another end, and call."""
        message = context.get(MESSAGE)
        if message is None or (self.kind in BROKEN_OFF and "error" not in message):
            context[MESSAGE] = made(context, self.kind)
        return self.callback(context)


CALLBACKS = frozenset(f"on_{kind}_callback" for kind in KINDS)


def with_message(name: str, value: Any) -> Any:
    """Return the value of a task's attribute; callbacks are wrapped, so that their context holds a message.

    Args:
        name: of the attribute.
        value: a callback, a list of them or None, if the name is one of `CALLBACKS`.
    """
    if name not in CALLBACKS or value is None:
        return value
    kind = name.removeprefix("on_").removesuffix("_callback")
    callbacks = value if isinstance(value, list | tuple) else [value]
    return [item if isinstance(item, WithMessage) else WithMessage(item, kind) for item in callbacks]


def made(context: MutableMapping[str, Any], kind: str) -> dict[str, Any]:
    """Return a message about an end that the task itself did not see.

    Args:
        context: Airflow's; in the DAG processor it may hold little more than the task instance.
        kind: one of `KINDS`.
    """
    instance = context.get("ti") or context.get("task_instance") or context.get("task")
    title = f"{getattr(instance, 'dag_id', '?')}.{getattr(instance, 'task_id', '?')} {TITLES.get(kind, 'has stopped')}"
    if kind not in BROKEN_OFF:
        return {"title": title, "body": title + ".", "run_folder": None}
    error = said(context.get("exception"))
    return {"title": title, "body": error, "error": error, "run_folder": None}


def said(error: object) -> str:
    """Return what ended the task; an exception's own text is left out, because it may quote a row."""
    match error:
        case None:
            return KILLED
        case AirflowTaskTimeout():
            return "The task ran for longer than its `execution_timeout`. A retry goes on where this one stopped."
        case TaskDeferralTimeout():
            return "The task waited in the triggerer for longer than it may. A retry goes on where this one stopped."
        case TaskDeferralError():
            return "The trigger failed: see the log of the triggerer. A retry goes on where this one stopped."
        case BaseException():
            return f"{type(error).__name__}. Its text may quote a row and is left out; the task's log has it."
        case _:
            return KILLED
