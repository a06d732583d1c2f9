"""Gives a task's callbacks a message, however the task ends: `context -> title, body, error, error_code, run_folder`.

A task that succeeds or fails with an error of this package has put the message into the context. Otherwise the message
is made here, perhaps in another process: if a template cannot be rendered, or if `pre_execute`, a timeout, a skip or a
kill ends the task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Self, SupportsIndex

from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.hooks.failures import (
    RETRY_RESUMES,
    SKIPPED,
    TIMED_OUT,
    UNEXPECTED,
    WORKER_LOST,
    message,
)

MESSAGE = "segexport"
"""Key of the message in the context of a task: `title`, `body`, `error`, `error_code`, `run_folder`."""

KINDS = ("execute", "failure", "retry", "skipped", "success")
"""The callbacks of a task: `on_<kind>_callback`."""

ERROR_KINDS = frozenset({"failure", "retry", "skipped"})
"""Callbacks whose message has an error."""

TITLES = {"execute": "starts", "skipped": "was skipped", "success": "has ended"}
"""End of the title by callback; the title of any other callback ends with `has stopped`."""

KILLED = f"The task was killed, or its worker died. {RETRY_RESUMES}"
WAS_SKIPPED = "The task was skipped. Its log has the reason, if the code that skipped it gave one."
"""Error of a skip. Airflow passes no exception to the callback of a skip."""


@dataclass(frozen=True, slots=True)
class WithMessage:
    """A callback whose context holds a message.

    Attributes:
        callback: the user's callback: a function or a notifier.
        kind: one of `KINDS`.
    """

    callback: Callable[[Any], Any]
    kind: str

    def __call__(self, context: Any) -> Any:
        """Add a message if the context has none, or none with the error that is needed, and call the callback."""
        given = context.get(MESSAGE)
        if given is None or (self.kind in ERROR_KINDS and "error" not in given):
            context[MESSAGE] = default_message(context, self.kind)
        return self.callback(context)


class Callbacks(list[WithMessage]):
    """Callbacks of one kind. A callback that a cluster policy adds is wrapped, too.

    Attributes:
        kind: one of `KINDS`.
    """

    def __init__(self, callbacks: Iterable[Any], kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.extend(callbacks)

    def append(self, callback: Any) -> None:
        """Add a callback."""
        self.extend([callback])

    def insert(self, index: SupportsIndex, callback: Any) -> None:
        """Add a callback before another one."""
        self[index:index] = Callbacks([callback], self.kind)

    def extend(self, callbacks: Iterable[Any]) -> None:
        """Add callbacks. While the list is unpickled, all are wrapped already and `kind` is not set yet."""
        super().extend(
            item if isinstance(item, WithMessage) else WithMessage(item, self.kind) for item in list(callbacks)
        )

    def __iadd__(self, callbacks: Iterable[Any]) -> Self:  # type: ignore[override,misc]
        """Add callbacks."""
        self.extend(callbacks)
        return self


CALLBACKS = frozenset(f"on_{kind}_callback" for kind in KINDS)


def with_message(name: str, value: Any) -> Any:
    """Return the value of a task's attribute. Callbacks are wrapped, so that their context holds a message.

    Args:
        name: the attribute's name.
        value: a callback, a list of them or None, if the name is one of `CALLBACKS`.
    """
    if name not in CALLBACKS or value is None:
        return value
    callbacks = value if isinstance(value, list | tuple) else [value]
    return Callbacks(callbacks, name.removeprefix("on_").removesuffix("_callback"))


def default_message(context: MutableMapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the message of a callback for which the task has made none.

    Args:
        context: Airflow's context; in the DAG processor it may hold little more than the task instance.
        kind: one of `KINDS`.
    """
    instance = context.get("ti") or context.get("task_instance") or context.get("task")
    title = f"{getattr(instance, 'dag_id', '?')}.{getattr(instance, 'task_id', '?')} {TITLES.get(kind, 'has stopped')}"
    if kind not in ERROR_KINDS:
        return {"title": title, "body": title + ".", "run_folder": None}
    exception, is_skip = context.get("exception"), kind == "skipped"
    error, code = (WAS_SKIPPED, SKIPPED) if is_skip else (error_text(exception), error_code(exception))
    return {"title": title, "body": error, "error": error, "error_code": code, "run_folder": None}


def error_code(error: object) -> str:
    """Return the code of the exception that has ended the task; `worker-lost` if there is no exception."""
    match error:
        case AirflowTaskTimeout():
            return TIMED_OUT
        case SegexportError():
            return error.error_code
        case BaseException():
            return UNEXPECTED
        case _:
            return WORKER_LOST


def error_text(error: object) -> str:
    """Return a sentence on the exception that has ended the task.

    The text of an exception of this package, as `hook.export` raises it, is returned. That of any other exception is
    left out, because it may quote a row.
    """
    match error:
        case AirflowTaskTimeout():
            return f"The task ran for longer than its `execution_timeout`. {RETRY_RESUMES}"
        case TaskDeferralTimeout():
            return f"The task waited in the triggerer for longer than it may. {RETRY_RESUMES}"
        case TaskDeferralError():
            return f"The trigger failed: see the log of the triggerer. {RETRY_RESUMES}"
        case SegexportError():  # the text of Airflow's exception says already what a retry does
            return str(error) if isinstance(error, AirflowException) else message(error)
        case BaseException():
            return f"{type(error).__name__}. Its text is left out, because it may quote a row; the task's log has it."
        case _:
            return KILLED
