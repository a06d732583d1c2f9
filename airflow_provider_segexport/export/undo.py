"""Takes back a version of an audience's ledger, as far as a vendor allows: `two versions -> plan`.

People whom the run put in are taken out, and people whom it took out are put in again. Values that it changed stay as
they are, because no vendor tells what was there before. Someone who is put in again gets the address alone, so that the
vendor keeps its fields; the next export sends the rest.
"""

from __future__ import annotations

import hashlib
import json

from airflow_provider_segexport.contract import Matched
from airflow_provider_segexport.errors import BadMatching, OwnedByAnother
from airflow_provider_segexport.export import foresight, leaving, takeback
from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.export.prepare import Prepared, claim_of, encoded_as, facts_of
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.engine import engine
from airflow_provider_segexport.ports.ledger import UNDOES, Ledger
from airflow_provider_segexport.ports.standing import Standing
from airflow_provider_segexport.segment import Cleaned, Planned
from airflow_provider_segexport.stages import leavers, plan


def prepare(job: Job, target: Target, ledger: Ledger, standing: Standing) -> Prepared:
    """The plan that brings the audience back to what it was before a version of its ledger.

    Raises:
        StopExport: the version cannot be taken back.
    """
    folder = job.world.folder
    with engine() as sql:
        asked = job.order.undo.version if job.order.undo else None
        taken = takeback.find(sql, ledger, standing, job.order.export, asked)
        people = takeback.stage(sql, taken)
        encoded = encoded_as(job.vendor.item(Matched(("email",)), target))
        upserts = plan.upserts(encoded, against_ledger=False)
        planned = plan.freeze(sql, upserts, job.vendor.limits, folder.place, Cleaned(people))
        if job.vendor.revive:
            plan.freeze_returners(sql, folder.place / "returners.parquet")
        leaving.removal_of(job)
        leavers.freeze_holds(sql, folder.place / "holds.parquet")
        leavers.freeze_bars(sql, folder.place / "bars.parquet")
        planned = leaving.freeze(job, sql, target, planned, keep="")
        samples = foresight.samples(sql)
    facts = {
        **facts_of(job, target, job.world.clock(), ledger.version()),
        **claim_of(taken.export, taken.bit, standing),
        "mode": "undo",
        "as_of": taken.before.get("as_of", job.order.as_of),
        "files": [("ledger", 0)],
        UNDOES: taken.version,
        "restores": dict(taken.before),
        "plan": foresight.effort(job.vendor, planned) | {"samples": samples},
    }
    return Prepared(planned, facts)


def not_by_two_of_one_run(job: Job, standing: Standing) -> None:
    """Two mapped tasks of one run that mirror two segments into one audience would take out each other's people."""
    ours, theirs = job.order.run.rsplit("/", 1), standing.run.rsplit("/", 1)
    other = standing.segment != str(job.order.segment)
    if job.order.mode == "mirror" and not job.order.shared and ours[0] == theirs[0] and ours != theirs and other:
        raise OwnedByAnother(
            f"Another task of this run ({standing.run}) has mirrored {standing.segment} to this audience: this one "
            "would take its people out. Give each its own audience, or name the exports (`export_name`) and let them "
            "share (`shared=True`), or unite the segments in one task."
        )


def mark_of(job: Job, target: Target, planned: Planned) -> str:
    """What tells one plan from another: where it goes, for which export, and the content of all its batches."""
    where = [job.vendor.name, target.account, target.audience, job.order.export]
    content = json.dumps([where, planned.profiles, planned.batches, planned.removals])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def as_expected(job: Job, target: Target, planned: Planned) -> None:
    """Carry out only the plan that a person has approved.

    Raises:
        BadMatching: the plan differs from the approved one.
    """
    if job.order.expect and job.order.expect != mark_of(job, target, planned):
        raise BadMatching(
            f"The plan is another one than was approved ({job.order.expect}): the segment, the audience or its ledger, "
            "the export's name or the task's arguments have changed since. Nothing was sent. To fix: plan again, and "
            "have that plan approved."
        )
