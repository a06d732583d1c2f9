"""`SegmentExportNotifier`: every end of a task and a DAG run, through notifiers and functions."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from types import SimpleNamespace
from uuid import uuid4

import pytest
import structlog
from airflow.api_fastapi.execution_api.datamodels.taskinstance import TaskInstance
from airflow.callbacks.callback_requests import TaskCallbackRequest
from airflow.dag_processing.processor import _execute_task_callbacks
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, task
from airflow.sdk.bases.notifier import BaseNotifier
from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTimeout
from airflow.utils.state import TaskInstanceState
from airflow_fixtures import export_dag, people
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segexport.error_help import ERROR_HELP
from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.notifications.formats import formats
from airflow_provider_segexport.notifications.message import export_message
from airflow_provider_segexport.notifications.segment_export import SegmentExportNotifier
from airflow_provider_segexport.operators.notices import MESSAGE
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

pytestmark = pytest.mark.airflow

NUMBERS = itertools.count(1)
START = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = {
    *("title", "body", "error", "error_code", "advice", "run_folder", "text", "markdown", "slack", "html"),
    *("log_url", "run_url", "report_url", "help_url"),
}


class Chat(BaseNotifier):
    """As a chat's notifier: its text is a template over the task's context."""

    template_fields = ("text",)
    sent: list = []  # noqa: RUF012 - as a server far away

    def __init__(self, text="{{ segexport.markdown }}"):
        super().__init__()
        self.text = text

    def notify(self, context):
        self.sent.append(self.text)


@pytest.fixture
def ui(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/base/")


@pytest.fixture
def chat(monkeypatch):
    monkeypatch.setattr(Chat, "sent", [])
    return Chat.sent


def run(stage, callbacks, **changes):
    """One export with these callbacks; Airflow runs its task."""
    dag = export_dag(f"notified_{next(NUMBERS)}", stage.folder, **callbacks, **changes)
    begun = stage.begin(dag, watched=False)
    begun.go(dag)
    return dag.dag_id


def test_a_failure_reaches_a_chat_with_code_advice_and_links(stage, ui, chat):
    """Everything that a person on call needs is in one message."""
    stage.segment(people(2))
    conn_id = stage.connection("dotdigital", password="wrong")
    dag_id = run(stage, {"on_failure_callback": SegmentExportNotifier(Chat("{{ segexport.text }}"))}, conn_id=conn_id)
    [text] = chat
    assert f"{dag_id}.export has stopped" == text.splitlines()[0]
    assert f"What to do: {ERROR_HELP['authentication-failed'].advice.replace('`', '').replace('*', '')}" in text
    page = f"https://airflow.example.com/base/dags/{dag_id}/runs/by_hand"
    assert f"\nLog: {page}/tasks/export?try_number=1" in text
    assert f"\nRun: {page}" in text
    assert "\nHelp: https://airflow.example.com/base/segexport/errors#authentication-failed" in text


def test_a_success_reaches_a_function_as_a_mapping(stage, ui):
    """With every key that the class documents, so that no template of it fails."""
    sent = []
    stage.segment(people(3))
    dag_id = run(
        stage, {"on_success_callback": SegmentExportNotifier(sent.append)}, conn_id=stage.connection("omnisend")
    )
    [message] = sent
    assert set(message) == KEYS
    assert "3 delivered" in message["title"]
    assert ("", "", "", "") == tuple(message[name] for name in ("error", "error_code", "advice", "help_url"))
    assert message["report_url"].endswith(f"/{dag_id}/runs/by_hand/tasks/export/plugin/segment_export")


def test_templates_of_mail_are_rendered(stage, ui, monkeypatch):
    """A notifier of an official provider, as users have it."""
    sent = []
    monkeypatch.setattr(SmtpNotifier, "notify", lambda self, context: sent.append((self.subject, self.html_content)))
    mail = SmtpNotifier(
        from_email="airflow@example.com",
        to="ops@example.com",
        subject="{{ segexport.title }} ({{ segexport.error_code }})",
        html_content="{{ segexport.html }}",
    )
    stage.segment(people(2))
    changes = {"conn_id": stage.connection("dotdigital"), "field_mapping": {"email": "no_such_column"}}
    run(stage, {"on_failure_callback": [SegmentExportNotifier(mail)]}, **changes)
    [(subject, html)] = sent
    assert subject.endswith("has stopped (invalid-segment)")
    assert '<a href="https://airflow.example.com/base/segexport/errors#invalid-segment">Help</a>' in html


def test_each_message_renders_the_notifiers_templates_anew(chat):
    """Rendering changes a notifier in place; the next message must not repeat the first."""
    notifier = SegmentExportNotifier(Chat("{{ segexport.title }}"))
    for title in ("first", "second"):
        notifier({MESSAGE: {"title": title, "body": ""}})
    assert ["first", "second"] == chat


INSTANCE = SimpleNamespace(dag_id="d", task_id="t", run_id="scheduled__2026-03-01T00:00:00+00:00", try_number=2)


@pytest.mark.parametrize(
    ("context", "title", "code"),
    [
        ({}, "?.? has ended", ""),
        ({"ti": INSTANCE, "exception": ValueError("jane@example.com")}, "d.t has stopped", "unexpected"),
        ({"ti": INSTANCE, "exception": AirflowTaskTimeout()}, "d.t has stopped", "execution-timeout"),
        ({"ti": INSTANCE, "exception": InvalidArgument("No.")}, "d.t has stopped", "invalid-argument"),
        ({"ti": SimpleNamespace(**vars(INSTANCE), state="failed")}, "d.t has stopped", "worker-lost"),
        ({"ti": SimpleNamespace(**vars(INSTANCE), state="skipped")}, "d.t was skipped", "skipped"),
        ({"ti": SimpleNamespace(**vars(INSTANCE), map_index=3)}, "d.t has ended", ""),
        ({"dag": SimpleNamespace(dag_id="d"), "run_id": "r/1", "reason": "task_failure"}, "d has stopped", ""),
        ({"dag": SimpleNamespace(dag_id="d"), "ti": INSTANCE, "reason": "success"}, "d has ended", ""),
    ],
)
def test_a_context_of_any_callback_gives_a_message(context, title, code, ui):
    """Failures of a DAG, of another operator, of a task whose worker died."""
    message = export_message(context)
    assert set(message) == KEYS
    assert (title, code) == (message["title"], message["error_code"])
    assert "jane" not in str(message)
    assert message["run_url"].startswith("https://airflow.example.com/base/dags/d/runs/") or not context
    assert ("mapped/3?try_number=2" in message["log_url"]) == (getattr(context.get("ti"), "map_index", -1) == 3)


@pytest.mark.parametrize("kind", [TaskInstanceState.FAILED, TaskInstanceState.UP_FOR_RETRY])
@pytest.mark.parametrize("task_id", ["plain", "mapped", "export"])
def test_a_worker_that_died_is_no_success(airflow_db, kind, task_id):
    """The DAG processor calls the callback, also of a mapped task and of one of another operator."""
    sent = []
    callbacks = dict.fromkeys(("on_failure_callback", "on_retry_callback"), SegmentExportNotifier(sent.append))
    options = {"conn_id": "any", "field_mapping": {"email": "email"}, **callbacks}
    with DAG("killed", schedule=None, start_date=START) as dag:
        task(task_id="plain", **callbacks)(lambda: None)()
        SegmentExportOperator(task_id="export", segment="a", **options)
        SegmentExportOperator.partial(task_id="mapped", **options).expand(segment=["a", "b"])
    ids = {"id": uuid4(), "dag_version_id": uuid4(), "task_id": task_id, "dag_id": "killed", "run_id": "r"}
    ti = TaskInstance(**ids, try_number=1, map_index=1 if task_id == "mapped" else -1)
    request = TaskCallbackRequest(filepath="x", bundle_name="b", bundle_version=None, ti=ti, task_callback_type=kind)
    _execute_task_callbacks(SimpleNamespace(dags={"killed": dag}), request, structlog.get_logger())
    [message] = sent
    assert (message["title"], message["error_code"]) == (f"killed.{task_id} has stopped", "worker-lost")


def test_an_error_of_a_hook_keeps_its_text_and_its_code(stage):
    """Its text has no row, so it is not left out."""
    sent = []
    conn_id = stage.connection("dotdigital")
    with DAG("hook_error", schedule=None, start_date=START) as dag:

        @task(on_failure_callback=SegmentExportNotifier(sent.append))
        def export():
            get_hook(conn_id).export("/no/such/file.parquet", {"email": "email"})

        export()
    stage.begin(dag, watched=False).go(dag)
    [message] = sent
    assert message["error_code"] == "invalid-segment"
    assert "/no/such/file.parquet" in message["error"]
    assert message["error"].count("To fix:") == 1


def test_a_skip_of_other_code_is_no_death(stage):
    """Airflow passes no exception to the callback of a skip."""
    sent = []
    notifier = SegmentExportNotifier(sent.append)

    def skip(*_):
        raise AirflowSkipException("not today")

    dag = export_dag("skips", stage.folder, conn_id="any", segment="a", pre_execute=skip, on_skipped_callback=notifier)
    stage.begin(dag, watched=False).go(dag)
    with DAG("plain_skip", schedule=None, start_date=START) as plain:
        task(task_id="export", on_skipped_callback=notifier)(skip)()
    stage.begin(plain, watched=False).go(plain)
    assert [(each["title"].partition(" ")[2], each["error_code"]) for each in sent] == [("was skipped", "skipped")] * 2
    assert not [each for each in sent if "killed" in each["text"]]


def test_without_the_address_of_the_ui_there_are_no_links(monkeypatch):
    """A link to nowhere helps no one."""
    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    message = export_message({"ti": INSTANCE, "exception": ValueError()})
    assert "" == message["log_url"] + message["run_url"] + message["help_url"]
    assert "://" not in message["text"]


@pytest.mark.parametrize("send", [None, "slack", Chat, 7])
def test_what_cannot_send_is_refused_when_the_dag_is_parsed(send):
    """Not in the night of the first failure."""
    with pytest.raises(TypeError, match="To fix: pass a notifier"):
        SegmentExportNotifier(send)


def test_a_subclass_decides_how_a_message_is_sent():
    """The hook for a system of one's own."""
    sent = []

    class Pager(SegmentExportNotifier):
        def deliver(self, message, context):
            if message["error_code"]:
                sent.append(message["error_code"])

    pager = Pager(print)
    pager({"ti": INSTANCE})
    pager({"ti": INSTANCE, "exception": ValueError()})
    assert ["unexpected"] == sent


def test_an_exception_of_the_notifier_is_airflows_business(stage):
    """The run has ended: a chat that is down changes nothing."""

    def down(message):
        raise ConnectionError

    stage.segment(people(2))
    dag = export_dag("chat_is_down", stage.folder, conn_id=stage.connection("omnisend"))
    dag.get_task("export").on_success_callback = [SegmentExportNotifier(down)]
    assert "success" == stage.begin(dag, watched=False).go(dag)


class Tags(HTMLParser):
    """Collects a page's tags."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, *[name for name, _ in attrs]))


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_name_of_an_audience_becomes_markup(title, body):
    """It comes from the vendor: no tag, no ping of a whole channel, no link."""
    rendered = formats(title, body, {"Log": "https://a.example/?a=1&b=2"})
    tags = Tags()
    tags.feed(rendered["html"])
    assert {("p",), ("strong",), ("br",), ("a", "href")} >= set(tags.seen)
    assert 1 == rendered["slack"].count("<") == rendered["slack"].count("|Log>")
    assert 1 == len([part for part in rendered["markdown"].replace(r"\\", "").split("](") if part]) - 1


def test_a_timeout_has_its_code(stage, chat):
    """Also where no code of the operator ran to the end."""
    stage.segment(people(2))
    callbacks = {"on_failure_callback": SegmentExportNotifier(Chat("{{ segexport.error_code }}"))}
    run(stage, callbacks, conn_id=stage.connection("dotdigital"), execution_timeout=timedelta(seconds=-1))
    assert ["execution-timeout"] == chat
