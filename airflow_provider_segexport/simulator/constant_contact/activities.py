"""Bulk activities (the vendor's asynchronous jobs): accepting, polling and listing them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import QUEUE_FULL, api_refused, invalid, not_found
from .paging import page_link, page_size, position

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_segexport.simulator.jobs import Job

    from .state import Account

Json = dict[str, object]

_DAY = 86_400.0
_LISTED_STATES = ("processing", "completed", "cancelled", "failed", "timed_out")  # swagger 3.0.178
_UNFINISHED = ("initialized", "processing")


@dataclass(slots=True)
class Activity:
    """An activity and its report.

    `status` has the counters of its kind, `results` the link to an export's file, `seconds` the expected duration.
    """

    job: Job
    status: Json
    errors: list[str] = field(default_factory=list)
    file_name: str = ""
    results: str = ""
    seconds: float = 0.0


class ActivityRoutes:
    """The activities of the account, and the routes that poll them."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._activities: dict[str, Activity] = {}

    def check_room(self, now: float) -> None:
        """Reject the call if 1,000 activities are queued (swagger 3.0.178)."""
        if self._account.jobs.active(now) >= self._account.settings.max_queued_activities:
            text = "You exceeded 1,000 queued activities for this user account."
            raise api_refused(QUEUE_FULL, text, 429)

    def accept(self, call: Call, rows: int, status: Json, work: Callable[[Activity, float], None]) -> Activity:
        """Queue an activity and return it.

        Args:
            call: the request.
            rows: number of rows, which determines the duration.
            status: initial counters of the activity.
            work: executes the activity and fills in its counters and errors.
        """
        settings = self._account.settings
        activity_id = self._account.ids.guid()

        def finish(moment: float) -> str:
            work(self._activities[activity_id], moment)
            return self._account.jobs.done

        seconds = settings.start_seconds + settings.job_seconds + settings.job_seconds_per_row * rows
        job = self._account.jobs.add(activity_id, call.now, seconds, finish, settings.job_states)
        activity = self._activities[activity_id] = Activity(job, status, seconds=seconds)
        call.count("rows", rows)
        return activity

    def created(self, activity: Activity, status: int = 201) -> Reply:
        """Return the reply to the call that queued an activity; with `status` 202 it has a `Location` header."""
        shown = self._show(activity, activity.job.begun)
        link = f"/v3/activities/{activity.job.id}"
        return Reply.json(shown, status, {"location": link} if status == 202 else None)  # noqa: PLR2004

    def single(self, call: Call) -> Reply:
        """Handle GET /activities/{activity_id}."""
        self._forget(call.now)
        activity_id = call.params["activity"]
        if activity_id not in self._activities:
            raise not_found()
        self._account.jobs.poll(activity_id, call.now)
        return Reply.json(self._show(self._activities[activity_id], call.now))

    def all(self, call: Call) -> Reply:
        """Handle GET /activities, newest first (the order is assumed)."""
        self._forget(call.now)
        size = page_size(call, 500)
        wanted = call.query.get("state")
        if wanted is not None and wanted not in _LISTED_STATES:
            raise invalid("state does not have a valid value")
        offset, filters = position(call, {"state": wanted or ""})
        newest = list(reversed(self._activities.values()))
        state = filters["state"]
        for activity in newest:
            if activity.job.active:
                self._account.jobs.poll(activity.job.id, call.now)
        matching = [a for a in newest if state in ("", self._state(a, call.now))]
        body: Json = {"activities": [self._show(a, call.now) for a in matching[offset : offset + size]]}
        if offset + size < len(matching):
            body["_links"] = page_link("activities", offset + size, size, filters)
        return Reply.json(body)

    def file(self, export_id: str) -> Activity | None:
        """Return the export activity whose file has this id."""
        return self._activities.get(export_id)

    def _state(self, activity: Activity, now: float) -> str:
        """Return the state at `now`: an unscripted activity is `processing` after `start_seconds`."""
        job = activity.job
        starts_by_time = job.state == "initialized" and not job.script and job.due < float("inf")
        start = job.begun + self._account.settings.start_seconds
        return "processing" if starts_by_time and now >= start else job.state

    def _show(self, activity: Activity, now: float) -> Json:
        job = activity.job
        state = self._state(activity, now)
        updated = now if job.ended is None else job.ended
        shown: Json = {
            "activity_id": job.id,
            "state": state,
            "created_at": iso(job.begun),
            "updated_at": iso(updated),
            "percent_done": self._percent(activity, state, now),
            "activity_errors": activity.errors,
            "_links": {"self": {"href": f"/v3/activities/{job.id}"}},
        }
        if state != "initialized":
            shown["started_at"] = iso(job.begun + self._account.settings.start_seconds)
        if job.ended is not None:
            shown["completed_at"] = iso(job.ended)
        if activity.status:
            shown["status"] = activity.status
        if activity.file_name:
            shown["source_file_name"] = activity.file_name
        if activity.results and state == self._account.jobs.done:
            shown["_links"] = {
                "self": {"href": f"/v3/activities/{job.id}"},
                "results": {"href": activity.results},
            }
        return shown

    @staticmethod
    def _percent(activity: Activity, state: str, now: float) -> int:
        if state not in _UNFINISHED:
            return 100 if state == "completed" else 0
        share = (now - activity.job.begun) / activity.seconds if activity.seconds else 0.0
        return 0 if state == "initialized" else max(1, min(99, int(100 * share)))

    def _forget(self, now: float) -> None:
        """Delete finished activities that are older than 10 days (swagger 3.0.178)."""
        oldest = now - self._account.settings.activity_days * _DAY
        while self._activities:
            activity = next(iter(self._activities.values()))
            if activity.job.begun > oldest or activity.job.active:
                return
            del self._activities[activity.job.id]
            self._account.jobs.forget(activity.job.id)
