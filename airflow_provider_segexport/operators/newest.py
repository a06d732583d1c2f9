"""Whether a run is the newest that its DAG has to do: `context -> go on, or skip with the reason`.

Asked of what made the run: a run by assets of their later events, one by a schedule of the timetable, one of a backfill
of later days. Where it cannot be known the run goes on: the ledger keeps older from overwriting newer in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import InletEventsAccessor

from airflow_provider_segexport.operators.as_of import key_date

UNFINISHED = ["queued", "running"]

MOST_EVENTS = 500
"""Later events than these are not looked at: a daily segment's are those of more than a year."""

MOST_STEPS = 1_000


def skip_unless_newest(context: Mapping[str, Any]) -> None:
    """Skip the task when a newer run of its DAG is due.

    Raises:
        AirflowSkipException: it says which run makes this one needless.
    """
    newer = newer_run(context)
    if newer:
        raise AirflowSkipException(
            f"{newer}: this older state is not exported, as `catch_up='newest'` asks. The newer run exports everything."
        )


def newer_run(context: Mapping[str, Any]) -> str | None:
    """What newer run there is, in words; None where this one is the newest, or nothing is known of others."""
    run = context["dag_run"]
    events = context.get("triggering_asset_events") or {}
    if len(events):
        return _by_assets(context, events)
    match str(getattr(run.run_type, "value", run.run_type)):
        case "scheduled":
            return _by_schedule(context)
        case "backfill":
            return _by_backfill(context)
        case _:
            return None


def _by_assets(context: Mapping[str, Any], events: Mapping[Any, Any]) -> str | None:
    """Every asset that started this run has a later event, and another run of the DAG waits or works."""
    later = [_later_event(asset, events[asset]) for asset in events if hasattr(asset, "uri")]
    if not later or None in later or context["ti"].get_dr_count(context["ti"].dag_id, states=UNFINISHED) < 2:  # noqa: PLR2004 - this one, and another
        return None
    return f"There is newer data for this DAG, {later[0]}, whose run waits or works already"


def _later_event(asset: Any, ours: Any) -> str | None:
    """A later event of this asset than those that started the run: of a later day, or of the same partition again."""
    by_key: dict[str | None, datetime] = {}
    for event in ours:
        by_key[event.partition_key] = max(event.timestamp, by_key.get(event.partition_key, event.timestamp))
    newest = max((day for key in by_key if (day := key_date(key))), default=None)
    found = InletEventsAccessor(asset_name=asset.name, asset_uri=asset.uri).ascending(ascending=False)
    for event in found.limit(MOST_EVENTS):
        day = key_date(event.partition_key)
        if newest and day and day > newest:
            return f"partition {event.partition_key}"
        if event.partition_key in by_key and event.timestamp > by_key[event.partition_key]:
            return f"of {event.timestamp:%Y-%m-%d %H:%M:%S}"
    return None


def _by_schedule(context: Mapping[str, Any]) -> str | None:
    """The timetable's next run is due."""
    following = next(_following(context), None)
    if following is None or following.run_after > datetime.now(UTC):
        return None
    return f"The DAG's next run, of {following.run_after:%Y-%m-%d %H:%M:%S}, is due already"


def _by_backfill(context: Mapping[str, Any]) -> str | None:
    """A later day of the DAG waits or works; of partitions, which have no logical date, nobody can ask that."""
    now = datetime.now(UTC)
    later = [
        info.data_interval.start
        for info, _ in zip(_following(context), range(MOST_STEPS), strict=False)
        if info.data_interval and info.run_after <= now
    ]
    run, ti = context["dag_run"], context["ti"]
    if run.logical_date is None or not later:
        return None
    if not ti.get_dr_count(ti.dag_id, logical_dates=later, states=UNFINISHED):
        return None
    return "A later day of this DAG waits or works already"


def _following(context: Mapping[str, Any]) -> Iterator[Any]:
    """The runs that the DAG's timetable has after this one, up to the DAG's end."""
    from airflow.sdk.timezone import coerce_datetime  # noqa: PLC0415
    from airflow.serialization.encoders import coerce_to_core_timetable  # noqa: PLC0415 - who does not ask needs it not
    from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction  # noqa: PLC0415

    run, dag = context["dag_run"], context["dag"]
    timetable: Any = coerce_to_core_timetable(dag.timetable)
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    interval = DataInterval(start, end) if start and end else None
    info: Any = DagRunInfo(coerce_datetime(run.run_after), interval)
    limits = TimeRestriction(earliest=None, latest=dag.end_date, catchup=True)
    while info := timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=limits):
        yield info
