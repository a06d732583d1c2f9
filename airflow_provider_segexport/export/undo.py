"""Takes back a version of an audience's ledger, as far as a vendor allows: `two versions -> plan`.

People whom the run put in are taken out, and people whom it took out are put in again. Values that it changed stay as
they are, because no vendor tells what was there before. Someone who is put in again gets the address alone, so that the
vendor keeps its fields; the next export sends the rest.
"""

from __future__ import annotations

import hashlib
import json

from airflow_provider_segexport.errors import AudienceOwnedByOther, InvalidArgument
from airflow_provider_segexport.export import estimate, removing, undo_target
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.export.planning import PlanDraft, claim_of, plan_facts, row_sql
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.stages import plan, removals
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.ledger import REVERTED_VERSION, Ledger
from airflow_provider_segexport.storage.plan import CleanResult, Plan
from airflow_provider_segexport.vendors.base import MappedFields


def prepare(context: ExportContext, audience: Audience, ledger: Ledger, state: AudienceState) -> PlanDraft:
    """The plan that brings the audience back to what it was before a version of its ledger.

    Raises:
        FatalError: the version cannot be taken back.
    """
    folder = context.environment.run_folder
    with engine() as sql:
        asked = context.config.undo.version if context.config.undo else None
        taken = undo_target.find(sql, ledger, state, context.config.export_name, asked)
        people = undo_target.stage(sql, taken)
        encoded = row_sql(context.vendor.item_template(MappedFields(("email",)), audience))
        upserts = plan.upsert_sql(encoded, against_ledger=False)
        planned = plan.write_plan_rows(sql, upserts, context.vendor.limits, folder.path, CleanResult(people))
        if context.vendor.resubscribe_removed:
            plan.write_returning(sql, folder.path / "returning.parquet")
        removing.removal_of(context)
        removals.write_sharers(sql, folder.path / "sharers.parquet")
        removals.write_bars(sql, folder.path / "bars.parquet")
        planned = removing.freeze(context, sql, audience, planned, keep="")
        samples = estimate.sample_rows(sql)
    facts = {
        **plan_facts(context, audience, context.environment.clock(), ledger.version()),
        **claim_of(taken.export, taken.sharer_bit, state),
        "mode": "undo",
        "as_of": taken.before.get("as_of", context.config.as_of),
        "files": [("ledger", 0)],
        REVERTED_VERSION: taken.version,
        "restores": dict(taken.before),
        "estimate": estimate.estimate(context.vendor, planned) | {"samples": samples},
    }
    return PlanDraft(planned, facts)


def check_not_mirrored_twice(context: ExportContext, state: AudienceState) -> None:
    """Two mapped tasks of one run that mirror two segments into one audience would take out each other's people."""
    ours, theirs = context.config.run.rsplit("/", 1), state.run.rsplit("/", 1)
    other = state.segment != str(context.config.segment)
    if (
        context.config.mode == "mirror"
        and not context.config.allow_shared_audience
        and ours[0] == theirs[0]
        and ours != theirs
        and other
    ):
        raise AudienceOwnedByOther(
            f"Another task of this run ({state.run}) has mirrored {state.segment} to this audience: this one "
            "would take its people out. Give each its own audience, or name the exports (`export_name`) and let them "
            "share (`allow_shared_audience=True`), or unite the segments in one task."
        )


def plan_hash(context: ExportContext, audience: Audience, planned: Plan) -> str:
    """What tells one plan from another: where it goes, for which export, and the content of all its batches."""
    where = [context.vendor.name, audience.account, audience.audience, context.config.export_name]
    content = json.dumps([where, planned.profiles, planned.batches, planned.removal_batches])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def check_expected_plan(context: ExportContext, audience: Audience, planned: Plan) -> None:
    """Carry out only the plan that a person has approved.

    Raises:
        InvalidArgument: the plan differs from the approved one.
    """
    if context.config.expected_plan and context.config.expected_plan != plan_hash(context, audience, planned):
        raise InvalidArgument(
            f"The plan is another one than was approved ({context.config.expected_plan}): the segment, the audience or "
            "its ledger, the export's name or the task's arguments have changed since. Nothing was sent. To fix: plan "
            "again, and have that plan approved."
        )
