"""The table of an export's arguments, and the one builder that `SegmentExportOperator` and `hook.export` share.

A new option is three edits: a row of `EXPORT` here, the signatures of the operator and of `hook.export`, and the field
of `Order` that carries it to the code which uses it (a row and a field of one name find each other).
`tests/airflow/test_options.py` holds table, operator and hook against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, get_args

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.export.config import JOB_TIMEOUT_S, MOST_PROFILES, ExportConfig, Mode, OnStale, Undo
from airflow_provider_segexport.hooks import arguments as read
from airflow_provider_segexport.hooks import durations
from airflow_provider_segexport.hooks.as_of import moment
from airflow_provider_segexport.hooks.callers import Caller
from airflow_provider_segexport.hooks.left_out import LEFT_OUT
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.hooks.run_folders import ExportRequest


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument.

    Attributes:
        name: as operator and hook take it.
        read: makes the value of what was given; takes the argument's name too, for its error.
        default: the value when the argument is left out.
        required: it cannot be left out.
        may_be_empty: a value that says nothing is the same as leaving the argument out. For any other argument it stops
            the run: a template that renders to nothing must not switch off what it was written for.
    """

    name: str
    read: Callable[[Any, str], Any]
    default: Any = None
    required: bool = False
    may_be_empty: bool = False


POLL_INTERVAL = Argument("poll_interval", durations.seconds, 30.0, may_be_empty=True)
JOB_TIMEOUT = Argument("job_timeout", durations.job_timeout, JOB_TIMEOUT_S)
DEFERRABLE = Argument("deferrable", read.flag, may_be_empty=True)
FETCH_OPTOUTS = Argument("fetch_optouts", read.flag, default=False)
AUDIENCE = Argument("audience", read.text)
EXPORT_NAME = Argument("export_name", read.text)
DRY_RUN = Argument("dry_run", read.flag, default=False)
REPORTS_PATH = Argument("reports_path", read.text, may_be_empty=True)

EXPORT = (
    Argument("segment", read.segment, required=True),
    Argument("field_mapping", read.mapping, required=True),
    AUDIENCE,
    Argument("custom_fields", read.mapping, {}, may_be_empty=True),
    Argument("create_custom_fields", read.flag, default=False),
    Argument("mode", read.one_of(*get_args(Mode)), "upsert"),
    Argument("as_of", moment),
    Argument("on_stale", read.one_of(*get_args(OnStale)), "skip"),
    Argument("latest_only", read.flag, default=False),
    EXPORT_NAME,
    Argument("allow_shared_audience", read.flag, default=False),
    Argument("adopt_existing", read.flag, default=False),
    Argument("consent_column", read.text),
    Argument("suppression_list", read.paths, ()),
    Argument("partition_columns", read.flag, default=False),
    Argument("guards", read.guards, {}),
    DRY_RUN,
    Argument("expected_plan", read.text, ""),
    Argument("max_profiles", read.positive, MOST_PROFILES),
    REPORTS_PATH,
    FETCH_OPTOUTS,
    DEFERRABLE,
    POLL_INTERVAL,
    JOB_TIMEOUT,
)
"""The arguments of `SegmentExportOperator` and `hook.export`. `deferrable` is the operator's alone."""

UNDO = (
    AUDIENCE,
    Argument("ledger_version", read.number),
    EXPORT_NAME,
    DRY_RUN,
    REPORTS_PATH,
    FETCH_OPTOUTS,
    DEFERRABLE,
    POLL_INTERVAL,
    JOB_TIMEOUT,
)
"""The arguments of `SegmentExportUndoOperator`."""

ERASE = (
    Argument("emails_path", lambda given, _: read.path(given), required=True),
    Argument("requested_by", read.text, required=True),
    DRY_RUN,
)
"""The arguments of `SegmentExportEraseOperator`."""


def values(table: tuple[Argument, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Read and check arguments.

    Args:
        table: the arguments that there are.
        given: by name, after templates were rendered; `LEFT_OUT`, or no entry, for one that is left out.

    Returns:
        A value for each argument of the table.

    Raises:
        InvalidArgument: an argument is missing, says nothing, or cannot be read.
        InvalidSegment: `segment` or `as_of` cannot be read.
    """
    return {argument.name: _value(argument, given.get(argument.name, LEFT_OUT)) for argument in table}


def _value(argument: Argument, given: Any) -> Any:
    if given is LEFT_OUT and not argument.required:
        return argument.default
    if given is not LEFT_OUT and not read.is_nothing(given):
        read.refuse_unrendered(given, argument.name)
        return argument.read(given, argument.name)
    if argument.may_be_empty:
        return argument.default
    what = "is missing" if given is LEFT_OUT else f"was given and says nothing: it is {given!r}"
    way_out = "" if argument.required else ", or leave the argument out"
    raise InvalidArgument(
        f"`{argument.name}` {what}. Nothing was sent. To fix: give `{argument.name}` a value{way_out}. If it is a "
        "template, look at the task's rendered template: an empty one stops the run, so that no safety is lost."
    )


def export_config(told: Mapping[str, Any], *, as_of: datetime, run: str, export: str) -> ExportConfig:
    """The order of an export.

    Args:
        told: values of `EXPORT`.
        as_of: the time that the segment describes.
        run: the run's name in the ledger.
        export: the export's name, where the arguments give none.
    """
    same = {field.name for field in fields(ExportConfig)} & told.keys()
    return ExportConfig(
        **{name: told[name] for name in same - {"segment", "audience", "as_of", "export_name"}},
        segment=told["segment"] if isinstance(told["segment"], str) else tuple(told["segment"]),
        audience=told["audience"] or "",
        as_of=as_of.astimezone(UTC).isoformat(),
        run=run,
        export_name=told["export_name"] or export,
        consent=read.consent(told["consent_column"], told["suppression_list"]),
        snapshot_at=as_of.astimezone(UTC).isoformat() if told["as_of"] else "",
    )


def export_request(told: Mapping[str, Any], caller: Caller, content: str = "") -> ExportRequest:
    """What to run, for a caller. A catch-up's older day ends here, when only the newest is wanted.

    Args:
        told: values of `EXPORT`.
        caller: the task, or what calls a hook outside one.
        content: what tells the rows of a frame from others; empty for files.

    Raises:
        AirflowSkipException: `latest_only` is set, and the DAG has a newer run.
    """
    if told["latest_only"] and caller.context:
        from airflow_provider_segexport.hooks.latest_only import skip_unless_latest  # noqa: PLC0415 - most need none of it

        skip_unless_latest(caller.context)
    if told["mode"] == "mirror" and not told["export_name"] and not caller.context:
        raise InvalidArgument(
            "Outside a task, mode 'mirror' needs `export_name`: two programs that use one connection would remove each "
            "other's people. Nothing was sent. To fix: pass `export_name`, the same one in each run of this program."
        )
    asked = export_config(told, as_of=told["as_of"] or caller.as_of(), run=caller.run, export=caller.export)
    return ExportRequest(asked, caller.identity, state_path(), told["reports_path"], caller.attempt, content)


def undo_config(told: Mapping[str, Any], *, as_of: datetime, run: str) -> ExportConfig:
    """The order that takes the last version of a ledger back.

    Args:
        told: values of `UNDO`.
        as_of: the same in every try, so that a try goes on where the last one stopped.
        run: the run's name in the ledger.
    """
    return ExportConfig(
        segment="",
        field_mapping={},
        audience=told["audience"] or "",
        as_of=as_of.astimezone(UTC).isoformat(),
        run=run,
        mode="upsert",
        export_name=told["export_name"] or "",
        dry_run=told["dry_run"],
        undo=Undo(told["ledger_version"]),
        fetch_optouts=told["fetch_optouts"],
        job_timeout=told["job_timeout"],
    )
