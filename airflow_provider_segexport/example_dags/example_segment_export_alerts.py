"""Sends one message when an audience becomes Failing or Late, and one when it has recovered.

Replace `write_to_log` with the notifier that you use, for example:

    SegmentExportNotifier(SlackWebhookNotifier(slack_webhook_conn_id="slack", text="{{ segexport.slack }}"))
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task

from airflow_provider_segexport.notifications.segment_export import SegmentExportNotifier


def write_to_log(message: Mapping[str, Any]) -> None:
    """Write a message to the task's log."""
    logging.getLogger(__name__).warning("%s", message["text"])


NOTIFIER = SegmentExportNotifier(write_to_log)


@task(retries=3, retry_delay=timedelta(minutes=1))
def announce() -> list[str]:
    """Send the messages, and return their titles."""
    from airflow_provider_segexport.notifications.state_changes import announce_changes  # noqa: PLC0415 - Airflow parses this file over and over

    return announce_changes(NOTIFIER, get_current_context())


with DAG(
    "example_segment_export_alerts",
    schedule=timedelta(minutes=10),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["example", "segexport"],
):
    announce()
