"""Plans an undo: reverts one version of an audience's ledger, as far as the vendor allows: `two versions -> plan`.

The undo removes the people that the run added, and adds the people that it removed. Field values that the run changed
stay as they are, because no vendor reports earlier values. For a person who is added again only the email is sent, so
that the vendor keeps its fields; the next export sends the rest.
"""

from __future__ import annotations

import hashlib
import json

from airflow_provider_segexport.errors import AudienceOwnedByOther, InvalidArgument
from airflow_provider_segexport.export import estimate, removing, undo_target
from airflow_provider_segexport.export.config import ExportContext, Phase
from airflow_provider_segexport.export.planning import PlanDraft
from airflow_provider_segexport.export.row_sql import row_sql
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.stages import plan, removals
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.local_copies import uploads
from airflow_provider_segexport.storage.plan import CleanResult, Plan, PlanFacts
from airflow_provider_segexport.storage.tables import CLEAN_ROWS
from airflow_provider_segexport.vendors.audience_names import is_missing
from airflow_provider_segexport.vendors.base import MappedFields
from airflow_provider_segexport.vendors.directory import NAME_PREFIX


def prepare(context: ExportContext, audience: Audience, ledger: Ledger, state: AudienceState) -> PlanDraft:
    """Plan the undo of one version of the ledger.

    Args:
        context: the undo; `config.undo.version` names the version, None the newest that added or removed people.
        audience: the audience, as the vendor describes it.
        ledger: the audience's ledger.
        state: the audience's state.

    Raises:
        FatalError: the version cannot be undone.
    """
    folder = context.environment.run_folder
    context.environment.on_phase(Phase.PLAN)
    with uploads(folder.path), engine() as sql:
        version = context.config.undo.version if context.config.undo else None
        target = undo_target.find(sql, ledger, state, context.config.export_name, version)
        people = undo_target.create_tables(sql, target)
        encoded = row_sql(context.vendor.item_template(MappedFields(("email",)), audience))
        upserts = plan.upsert_sql(encoded, against_ledger=False)
        planned = plan.write_plan_rows(sql, upserts, context.vendor.limits, folder.path, CleanResult(people))
        if context.vendor.resubscribe_removed:
            plan.write_returning(sql, folder.path / "returning.parquet", removed=CLEAN_ROWS)
        removing.removal_of(context)
        removals.write_sharers(sql, folder.path / "sharers.parquet")
        removals.write_bars(sql, folder.path / "bars.parquet")
        planned = removing.freeze(context, sql, planned, keep="")
        samples = estimate.sample_rows(sql)
    facts = PlanFacts(
        vendor=context.vendor.name,
        audience=audience,
        mode="undo",
        as_of=target.before.get("as_of", context.config.as_of),
        started_at=context.environment.clock(),
        ledger_version=ledger.version(),
        export_name=target.export,
        files=(("ledger", 0),),
        sharer_bit=target.sharer_bit,
        is_shared=state.is_shared,
        estimate=estimate.estimate(context.vendor, audience, planned, samples, None),
        reverted_version=target.version,
        restores=target.before,
    )
    return PlanDraft(planned, facts)


def check_not_mirrored_twice(context: ExportContext, state: AudienceState) -> None:
    """Refuse a second task of one DAG run that mirrors another segment, as the same export, to the same audience.

    Raises:
        AudienceOwnedByOther: each of the two tasks would remove the people that the other one added.
    """
    config = context.config
    run, segment = state.last_runs.get(config.export_name, ("", ""))
    is_other_task = run != config.run and _dag_run(run) == _dag_run(config.run)
    if config.mode == "mirror" and is_other_task and segment != str(config.segment):
        segment = config.segment_name or segment  # a frame's temporary file is gone by now
        raise AudienceOwnedByOther(
            f"Another task of this run ({run}) has sent {segment} to this audience as the same export "
            f"({config.export_name!r}), and this task would remove the people that it added. To fix: give each task "
            "its own audience; or set another `export_name` in each, and `allow_shared_audience=True`; or export both "
            "segments in one task."
        )


def _dag_run(run: str) -> tuple[str, str]:
    """Return the DAG and the DAG run of a run `DAG/task/DAG run/map index`. The id of a DAG run may contain slashes."""
    dag_id, _, rest = run.partition("/")
    return dag_id, rest.partition("/")[2].rpartition("/")[0]


def plan_hash(context: ExportContext, audience: Audience, planned: Plan) -> str:
    """Return the hash of a plan: of audience, export and the content of every batch.

    Args:
        context: the export.
        audience: the plan's audience.
        planned: the plan.
    """
    audience_key = f"{NAME_PREFIX}{audience.audience_name}" if is_missing(audience) else audience.audience
    target = [context.vendor.name, audience.account, audience_key, context.config.export_name]
    content = json.dumps([target, planned.profiles, planned.batches, planned.removal_batches])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def check_expected_plan(context: ExportContext, audience: Audience, planned: Plan) -> None:
    """Refuse a plan that differs from the one in `expected_plan`; pass if none is expected.

    Args:
        context: the export.
        audience: the plan's audience.
        planned: the plan.

    Raises:
        InvalidArgument: the plan differs from the approved one.
    """
    if context.config.expected_plan and context.config.expected_plan != plan_hash(context, audience, planned):
        raise InvalidArgument(
            f"The plan differs from the approved plan ({context.config.expected_plan}), because the segment, the "
            "audience, its ledger, the export's name or the task's arguments have changed since. Nothing was sent. "
            "To fix: make a new dry run and have its plan approved."
        )
