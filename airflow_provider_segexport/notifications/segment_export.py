"""The notifier: `callback of a task or a DAG -> message -> the user's own notifier or function`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk.bases.notifier import BaseNotifier

from airflow_provider_segexport.notifications.message import export_message
from airflow_provider_segexport.operators.notices import MESSAGE

Send = BaseNotifier | Callable[[Mapping[str, Any]], Any]
"""A notifier, or a function that takes the message."""


class SegmentExportNotifier(BaseNotifier):
    """Sends a message about the end of an export, through a notifier that you already use, or a function.

    The message says what the run did or why it stopped, what to do, and links to the log, the report, the DAG run and
    the explanation of the error. Links need `[api] base_url` in Airflow's configuration.

    Use it as `on_failure_callback`, `on_success_callback`, `on_retry_callback` or `on_skipped_callback` of a task, or
    as a callback of a DAG. Tasks of other operators also get a message.

    Args:
        send: a notifier, or a function that takes the message as a mapping. The templates of the notifier may use
            `segexport.title`, `body`, `error`, `error_code`, `advice`, `run_folder`, `log_url`, `report_url`,
            `run_url`, `help_url`, and the message as a whole as `segexport.text`, `markdown`, `slack` and `html`.
            A key that does not apply is empty.
    """

    def __init__(self, send: Send, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given: object = send
        if not callable(given) or isinstance(given, type):
            raise TypeError(
                f"`send` of SegmentExportNotifier is {send!r}. To fix: pass a notifier, such as "
                "SlackWebhookNotifier(slack_webhook_conn_id='slack', text='{{ segexport.slack }}'), or a function that "
                "takes the message."
            )
        self.send = send

    def notify(self, context: Any) -> None:
        """Send the message of a callback's context."""
        self.deliver(export_message(context), context)

    def deliver(self, message: Mapping[str, Any], context: Any) -> None:
        """Send one message. A subclass may override this method.

        Args:
            message: the message, with all keys that the class documents.
            context: Airflow's context; it is not changed.
        """
        if isinstance(self.send, BaseNotifier):
            # A notifier renders its templates in place, so each message takes a copy.
            copy.copy(self.send)({**context, MESSAGE: dict(message)})
        else:
            self.send(message)
