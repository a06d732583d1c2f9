"""The table of an export's arguments, from which `SegmentExportOperator` and `hook.export` build an `ExportConfig`.

A new option takes three edits: a row of `EXPORT` here, the signatures of the operator and of `hook.export`, and a field
of the same name in `ExportConfig`. `tests/airflow/test_options.py` compares table, operator and hook.

Every command of Airflow imports this module for the options of `airflow segexport plan`. It therefore imports the core,
PyArrow and the HTTP client only when a configuration is built.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks import arguments as read
from airflow_provider_segexport.hooks import durations
from airflow_provider_segexport.hooks.as_of import check_not_future, moment
from airflow_provider_segexport.hooks.guard_arguments import guards
from airflow_provider_segexport.hooks.left_out import LEFT_OUT
from airflow_provider_segexport.modes import JOB_TIMEOUT_S, MOST_PROFILES, Mode, OnStale, Subscribe

if TYPE_CHECKING:
    from airflow_provider_segexport.export.config import ExportConfig
    from airflow_provider_segexport.hooks.callers import Caller
    from airflow_provider_segexport.hooks.run_folders import ExportRequest


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument.

    Attributes:
        name: the argument's name in operator and hook.
        read: converts the given value; also takes the argument's name, for its error.
        default: the value if the argument is left out.
        required: the argument cannot be left out.
        may_be_empty: an empty value counts as leaving the argument out. For any other argument an empty value stops the
            run, because a template that renders to nothing must not disable a safety.
        help: what the argument does, for the option of `airflow segexport plan`.
        of_task: the argument is about how a task runs, and not about what is exported, so `airflow segexport plan` has
            no option for it.
    """

    name: str
    read: Callable[[Any, str], Any]
    default: Any = None
    required: bool = False
    may_be_empty: bool = False
    help: str = ""
    of_task: bool = False


POLL_INTERVAL = Argument("poll_interval", durations.seconds, 30.0, may_be_empty=True, of_task=True)
JOB_TIMEOUT = Argument("job_timeout", durations.job_timeout, JOB_TIMEOUT_S, of_task=True)
DEFERRABLE = Argument("deferrable", read.flag, may_be_empty=True, of_task=True)
FETCH_OPTOUTS = Argument("fetch_optouts", read.flag, default=False, of_task=True)
AUDIENCE = Argument(
    "audience", read.audience, help="the vendor's id of the list, address book or tag, or name:Newsletter"
)
EXPORT_NAME = Argument("export_name", read.text, help="plan as this export, such as DAG.task; it owns the audience")
DRY_RUN = Argument("dry_run", read.flag, default=False, of_task=True)
REPORTS_PATH = Argument("reports_path", read.folder, may_be_empty=True, of_task=True)

EXPORT = (
    Argument("segment", read.segment, required=True, help="Parquet: files, folders, patterns or tables"),
    Argument("field_mapping", read.mapping, required=True, help="the column that feeds a field: email=mail_address"),
    AUDIENCE,
    Argument("custom_fields", read.mapping, {}, may_be_empty=True, help="the column that feeds a custom field"),
    Argument("create_custom_fields", read.flag, default=False, help="the export creates missing custom fields"),
    Argument("create_audience", read.flag, default=False, help="the export creates the audience that is missing"),
    Argument("default_region", read.region, "", help="country of phone numbers in national form, such as DE"),
    Argument("date_formats", read.date_formats, {}, may_be_empty=True, help="a text column's format: born=%%d.%%m.%%Y"),
    Argument(
        "mode",
        read.one_of(*get_args(Mode)),
        "upsert",
        help="upsert sends new and changed profiles; mirror also removes leavers; full sends every profile",
    ),
    Argument("as_of", moment, help="the time that the segment describes, ISO 8601 (default: now)"),
    Argument(
        "on_stale",
        read.one_of(*get_args(OnStale)),
        "skip",
        help="what the export does if the audience has a newer snapshot",
    ),
    Argument("latest_only", read.flag, default=False, of_task=True),
    EXPORT_NAME,
    Argument("allow_shared_audience", read.flag, default=False, help="share the audience with exports that set this"),
    Argument(
        "adopt_existing",
        read.flag,
        default=False,
        help="in mode mirror, also remove people who were in the audience before an export added them",
    ),
    Argument("consent_column", read.text, help="column that holds consent; rows without an explicit yes are withheld"),
    Argument("suppression_list", read.paths, (), help="Parquet with one address a row; these people are withheld"),
    Argument(
        "subscribe",
        read.one_of(*get_args(Subscribe)),
        "never",
        help="with_proof subscribes people whose row has proof of consent",
    ),
    Argument("consented_at_column", read.text, help="column with the moment of consent"),
    Argument("consent_source_column", read.text, help="column with the source of consent"),
    Argument("consent_text", read.text, help="the text that people agreed to, or column: and its column"),
    Argument("consent_ip_column", read.text, help="column with the IP address from which people agreed"),
    Argument("consent_user_agent_column", read.text, help="column with the user agent of the browser"),
    Argument("partition_columns", read.flag, default=False, help="read mapped columns from key=value folders, as text"),
    Argument("guards", guards, {}, help="a guard's limit: max_shrink=0.3, max_growth=1:fail, min_rows=off"),
    DRY_RUN,
    Argument("expected_plan", read.text, "", of_task=True),
    Argument("max_profiles", read.positive, MOST_PROFILES, help="refuse a segment with more rows"),
    REPORTS_PATH,
    FETCH_OPTOUTS,
    DEFERRABLE,
    POLL_INTERVAL,
    JOB_TIMEOUT,
)
"""The arguments of `SegmentExportOperator` and `hook.export`. Only the operator has `deferrable`."""

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

VERIFY = (
    AUDIENCE,
    Argument("segment", read.segment, may_be_empty=True),
    Argument("field_mapping", read.mapping, {"email": "email"}, may_be_empty=True),
    Argument("custom_fields", read.mapping, {}, may_be_empty=True),
    Argument("default_region", read.region, "", may_be_empty=True),
    Argument("date_formats", read.date_formats, {}, may_be_empty=True),
    Argument("partition_columns", read.flag, default=False),
    Argument("repair", read.flag, default=False),
    Argument("sample", read.positive, may_be_empty=True),
    Argument("sample_values", read.number, 1000),
    REPORTS_PATH,
    DEFERRABLE,
)
"""The arguments of `SegmentExportVerifyOperator` and `hook.verify`. Only the operator has `deferrable`."""

ERASE = (
    Argument("emails_path", read.path, required=True),
    Argument("requested_by", read.text, required=True),
    DRY_RUN,
)
"""The arguments of `SegmentExportEraseOperator`."""


def values(table: tuple[Argument, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Read and check arguments.

    Args:
        table: the arguments.
        given: value by name, after templates were rendered; `LEFT_OUT` or no entry for an argument that is left out.

    Returns:
        Value by name, for each argument of the table.

    Raises:
        InvalidArgument: an argument is missing or empty, or cannot be read.
        InvalidSegment: `segment` or `as_of` cannot be read.
    """
    return {argument.name: _value(argument, given.get(argument.name, LEFT_OUT)) for argument in table}


def _value(argument: Argument, given: Any) -> Any:
    if given is LEFT_OUT and not argument.required:
        return argument.default
    if given is not LEFT_OUT and not read.is_empty(given):
        read.refuse_unrendered(given, argument.name)
        return argument.read(given, argument.name)
    if argument.may_be_empty:
        return argument.default
    problem = "is missing" if given is LEFT_OUT else f"was given but is empty: {read.described(given)}"
    alternative = "" if argument.required else ", or leave the argument out"
    raise InvalidArgument(
        f"`{argument.name}` {problem}. Nothing was sent. To fix: give `{argument.name}` a value{alternative}. If it "
        "is a template, check the task's rendered template. An empty value stops the run, because it could disable a "
        "safety."
    )


def export_config(values: Mapping[str, Any], *, as_of: datetime, run: str, export_name: str) -> ExportConfig:
    """Build the configuration of an export.

    Args:
        values: values of `EXPORT`.
        as_of: the time that the segment describes; `InvalidSegment` if it is in the future.
        run: the run's name in the ledger.
        export_name: the export's name if the arguments give none.
    """
    from airflow_provider_segexport.export.config import ExportConfig  # noqa: PLC0415 - as this module says
    from airflow_provider_segexport.hooks.consent_arguments import consent  # noqa: PLC0415

    check_not_future(as_of, datetime.now(UTC))
    common = {field.name for field in fields(ExportConfig)} & values.keys()
    return ExportConfig(
        **{name: values[name] for name in common - {"segment", "audience", "as_of", "export_name"}},
        segment=values["segment"] if isinstance(values["segment"], str) else tuple(values["segment"]),
        audience=values["audience"] or "",
        as_of=as_of.astimezone(UTC).isoformat(),
        run=run,
        export_name=values["export_name"] or export_name,
        consent=consent(values),
        snapshot_at=as_of.astimezone(UTC).isoformat() if values["as_of"] else "",
    )


def build_request(values: Mapping[str, Any], caller: Caller, content: str = "") -> ExportRequest:
    """Build the request of an export.

    Args:
        values: values of `EXPORT`.
        caller: the task, or the program that calls a hook.
        content: hash of a frame's rows; empty for files.

    Raises:
        AirflowSkipException: `latest_only` is set, and the DAG has a newer run.
        InvalidArgument: outside a task, `latest_only` is set, or mode `mirror` has no `export_name`.
    """
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415 - as this module says
    from airflow_provider_segexport.hooks.run_folders import ExportRequest  # noqa: PLC0415

    if values["latest_only"]:
        from airflow_provider_segexport.hooks.latest_only import skip_unless_latest  # noqa: PLC0415 - rarely needed

        skip_unless_latest(caller.context)
    if values["mode"] == "mirror" and not values["export_name"] and not caller.context:
        raise InvalidArgument(
            "Outside a task, mode 'mirror' needs `export_name`: two programs that use one connection would remove each "
            "other's people. Nothing was sent. To fix: pass `export_name`, the same one in each run of this program."
        )
    as_of = values["as_of"] or caller.as_of()
    config = export_config(values, as_of=as_of, run=caller.run, export_name=caller.export_name)
    return ExportRequest(config, caller.identity, state_path(), values["reports_path"], caller.attempt, content)


def undo_config(values: Mapping[str, Any], *, as_of: datetime, run: str) -> ExportConfig:
    """Build the configuration that reverts a version of a ledger.

    Args:
        values: values of `UNDO`.
        as_of: the same time in every try, so that a retry resumes.
        run: the run's name in the ledger.
    """
    from airflow_provider_segexport.export.config import ExportConfig, Undo  # noqa: PLC0415 - as this module says

    return ExportConfig(
        segment="",
        field_mapping={},
        audience=values["audience"] or "",
        as_of=as_of.astimezone(UTC).isoformat(),
        run=run,
        mode="upsert",
        export_name=values["export_name"] or "",
        dry_run=values["dry_run"],
        undo=Undo(values["ledger_version"]),
        fetch_optouts=values["fetch_optouts"],
        job_timeout=values["job_timeout"],
    )


def verify_config(values: Mapping[str, Any], *, as_of: datetime, run: str) -> ExportConfig:
    """Build the configuration of a verification.

    Args:
        values: values of `VERIFY`.
        as_of: the same time in every try, so that a retry resumes.
        run: the run's name in the ledger.
    """
    from airflow_provider_segexport.export.config import ExportConfig, Verify  # noqa: PLC0415 - as this module says

    segment = values["segment"] or ""
    return ExportConfig(
        segment=segment if isinstance(segment, str) else tuple(segment),
        field_mapping=values["field_mapping"],
        custom_fields=values["custom_fields"],
        default_region=values["default_region"],
        date_formats=values["date_formats"],
        partition_columns=values["partition_columns"],
        audience=values["audience"] or "",
        as_of=as_of.astimezone(UTC).isoformat(),
        run=run,
        max_profiles=sys.maxsize,
        guards={"min_rows": None},
        verify=Verify(values["repair"], values["sample"], values["sample_values"]),
    )
