"""Announces changes of audiences' states: `state root -> Failing, Late or Recovered, each once`.

The states are those of the page *Segment exports*, as far as a task can know them: it has no access to Airflow's
database.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow.sdk.exceptions import AirflowException

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.hooks.airflow_facts import exports_disabled, is_dag_paused, task_state
from airflow_provider_segexport.hooks.interruptible import Interruptible
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.notifications.message import complete, help_link
from airflow_provider_segexport.notifications.segment_export import SegmentExportNotifier
from airflow_provider_segexport.operators.links import base_url
from airflow_provider_segexport.plugins import attempts, audiences, health
from airflow_provider_segexport.plugins.audiences import AudienceOverview, RunIdentity
from airflow_provider_segexport.plugins.health import AirflowFacts, Health, Schedule, State
from airflow_provider_segexport.plugins.pages import audience_address
from airflow_provider_segexport.plugins.unread import Unread
from airflow_provider_segexport.storage.announcements import CLAIM_S, Announced, Announcement, Announcements
from airflow_provider_segexport.storage.attempts import Status
from airflow_provider_segexport.storage.paths import StoragePath

log = logging.getLogger(__name__)

RECOVERED = "recovered"
BAD = {State.FAILING.value, State.LATE.value}
"""States that are announced."""

GOOD = {State.UP_TO_DATE, State.MANUAL}
"""States in which an audience has recovered from a bad state."""

LABELS = {State.FAILING.value: "Failing", State.LATE.value: "Late", RECOVERED: "Recovered"}

RHYTHM_RUNS = health.MIN_GAPS + 1
"""Newest runs of an audience that are considered. If a person has started all of them, the export has no schedule."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an audience's state that was not announced yet.

    Attributes:
        audience: the audience.
        state: the state to announce: failing, late or recovered.
        health: the audience's state with its reason.
        names: names of the audience in the announcements, the current name first.
        announced: the announcements so far.
    """

    audience: AudienceOverview
    state: str
    health: Health
    names: tuple[str, ...]
    announced: Announced


def announce_changes(notifier: SegmentExportNotifier, context: Any = None) -> list[str]:
    """Send a message for each audience that has become Failing or Late or has recovered, and return their titles.

    Each change is announced once, also if two tasks run at the same time or a task is retried. If a worker dies between
    sending a message and recording it, a run after 15 minutes sends it again.

    Args:
        notifier: delivers the messages.
        context: Airflow's context of the task, for the notifier's templates; None outside a task.

    Raises:
        AirflowException: messages could not be sent. The next try sends them.
    """
    root, now = state_path(), Interruptible.clock()
    announcements = Announcements(root)
    titles, failed = [], []
    for change in changes(root, announcements, now):
        name = change.names[0]
        announcement = Announcement(change.state, now, sent=False)
        claim = announcements.claim(name, change.announced, announcement)
        if claim is None:
            continue
        message = _message(change)
        try:
            notifier.deliver(message, context or {})
        except Exception as error:  # noqa: BLE001 - a notifier may raise anything, and the other messages must be sent
            claim.unlink(missing_ok=True)
            failed.append(type(error).__name__)
            continue
        announcements.confirm(name, claim, announcement)
        titles.append(str(message["title"]))
        log.info("Announcing a change (%s)", message["title"])
    if failed:
        raise AirflowException(
            f"{counted(len(failed), 'message')} could not be sent ({', '.join(sorted(set(failed)))}). "
            "The next try sends what is missing. To fix: check the notifier's connection."
        )
    return titles


def changes(root: StoragePath, announcements: Announcements, now: float) -> Iterator[Change]:
    """Yield the changes that no process has announced or is announcing.

    Args:
        root: state root.
        announcements: the announcements below this state root.
        now: epoch seconds.
    """
    unread: Unread = []  # the log names each folder that cannot be read
    overviews = audiences.list_audiences(root, lambda _: True, unread)
    tried = attempts.read(root, overviews, lambda _: True, now, unread)
    # Each answer takes a call to Airflow's API, and many audiences share a connection and a DAG.
    is_disabled, is_paused = functools.cache(exports_disabled), functools.cache(is_dag_paused)
    for audience in [*attempts.with_attempts(overviews, tried), *tried.never_filled]:
        names = _names(audience)
        announced = announcements.announced(names[0], names[1:])
        pending = announced.pending
        if pending is not None and now - pending.at < CLAIM_S:
            continue
        state = health.judge(audience, _facts(audience, is_paused), disabled=is_disabled(audience.conn_id), now=now)
        changed = _changed(announced.last.state, state.state)
        if changed:
            yield Change(audience, changed, state, names, announced)


def _changed(announced: str, state: State) -> str:
    """Return the state to announce; empty if there is nothing to announce.

    Nothing is announced of an audience that is disabled or awaits an approval.
    """
    if state.value in BAD:
        return state.value if state.value != announced else ""
    return RECOVERED if state in GOOD and announced in BAD else ""


def _names(audience: AudienceOverview) -> tuple[str, ...]:
    """Return the names of an audience in the announcements: its own, and those that it had before its first run."""
    unfilled = {f"unfilled/{item.conn_id}/{item.audience}" for item in audience.attempts}
    if not audience.points:
        return (f"unfilled/{audience.conn_id}/{audience.audience}",)
    key = audience.key
    return (f"{key.vendor}/{key.account}/{key.audience}", *sorted(unfilled))


def _facts(audience: AudienceOverview, is_paused: Callable[[str], bool]) -> AirflowFacts:
    """Return Airflow's data on an audience, as far as a task can read it.

    Args:
        audience: the audience.
        is_paused: returns whether a DAG is paused.
    """
    last = audience.last_run.identity
    rhythm = [point.identity for point in audience.points[-RHYTHM_RUNS:]]
    is_manual = all(run.run_id.startswith("manual__") or not run.dag_id for run in rhythm)
    running = [item.identity for item in audience.attempts if item.status is Status.RUNNING][-1:]
    return AirflowFacts(
        Schedule(paused=bool(last.dag_id) and is_paused(last.dag_id), scheduled=not is_manual),
        states={run: state for run in running if (state := task_state(_owner(run)))},
    )


def _owner(run: RunIdentity) -> str:
    return "/".join((run.dag_id, run.task_id, run.run_id, str(run.map_index)))


def _message(change: Change) -> dict[str, Any]:
    """Return the message about a change, with the keys that `SegmentExportNotifier` documents."""
    audience, reason = change.audience, change.health.why
    vendor = f" ({audience.vendor} {audience.word})" if audience.vendor else ""
    title = f"{audience.name}{vendor}: {LABELS[change.state]}"
    account = f"Account: {audience.account}" if audience.account else ""
    connection = f"Connection: {audience.conn_id}" if audience.conn_id else ""
    body = "\n".join(filter(None, [reason, account, connection]))
    code = change.health.code if change.state in BAD else ""
    error = reason if change.state == State.FAILING.value else ""
    message = complete({"title": title, "body": body, "error": error}, _links(change, code), code)
    return {**message, "state": change.state}


def _links(change: Change, code: str) -> dict[str, str]:
    root, last = base_url(), change.health.cause or change.audience.last_run.identity
    if not root:
        return {}
    links = {}
    if last.dag_id:
        links["Run"] = f"{root}/dags/{quote(last.dag_id, safe='')}/runs/{quote(last.run_id, safe='')}"
    if change.audience.points:
        links["Audience"] = f"{root}/segexport/{audience_address(change.audience.key)}"
    return {**links, **help_link(code)}
