"""Takes back the last version of an audience's ledger, as far as a vendor allows: `two versions -> plan`.

Whom the run has put in is taken out, and whom it has taken out is put in again. Values that it has changed stay as they
are: what stood there before is known to nobody. Who is put in again gets the address alone, so that the vendor keeps
what it has; the next export sends the rest.
"""

from __future__ import annotations

import hashlib
import json

from airflow_provider_segexport.contract import Matched
from airflow_provider_segexport.errors import BadMatching, OwnedByAnother, StopExport
from airflow_provider_segexport.export import foresight, leaving
from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.export.prepare import Prepared, encoded_as, facts_of
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.engine import Engine, engine
from airflow_provider_segexport.ports.ledger import IN, OUT, UNDOES, Ledger, taken_back
from airflow_provider_segexport.ports.standing import Standing
from airflow_provider_segexport.segment import Cleaned, Planned
from airflow_provider_segexport.stages import leavers, plan


def prepare(job: Job, target: Target, ledger: Ledger) -> Prepared:
    """The plan that brings the audience back to the version before the newest."""
    version = _version(job, ledger)
    folder = job.world.folder
    with engine() as sql:
        people = _differences(sql, ledger, version)
        encoded = encoded_as(job.vendor.item(Matched(("email",)), target))
        upserts = plan.upserts(encoded, against_ledger=False)
        planned = plan.freeze(sql, upserts, job.vendor.limits, folder.place, Cleaned(people))
        if job.vendor.revive:
            plan.freeze_returners(sql, folder.place / "returners.parquet")
        leaving.removal_of(job)
        planned = leaving.freeze(job, sql, target, planned, keep="")
        samples = foresight.samples(sql)
    facts = {
        **facts_of(job, target, job.world.clock(), version),
        "mode": "undo",
        "as_of": ledger.facts().get("as_of", job.order.as_of),
        "files": [("ledger", 0)],
        UNDOES: version,
        "plan": foresight.effort(job.vendor, planned) | {"samples": samples},
    }
    return Prepared(planned, facts)


def _version(job: Job, ledger: Ledger) -> int:
    """The version that is taken back, if it can be."""
    newest = ledger.version()
    asked = job.order.undo.version if job.order.undo else None
    if not newest:
        raise StopExport("Nothing was exported to this audience yet: there is nothing to take back.")
    if asked is not None and asked != newest:
        raise StopExport(
            f"Version {asked} of this audience's ledger is not the newest any more: that is {newest}, of run "
            f"{ledger.facts().get('by', '?')!r}. Only the newest can be taken back."
        )
    if told := taken_back(ledger.facts()):
        raise StopExport(f"The last run has taken back version {told} already; what it did is not taken back again.")
    if newest > 1 and not ledger.file(newest - 1).exists():
        raise StopExport(f"The version before {newest} of this audience's ledger is gone: nothing to compare with.")
    return newest


def _differences(sql: Engine, ledger: Ledger, version: int) -> int:
    """`clean(row, email)`: whom to put in again; `leavers`: whom to take out; returns how many are put in."""
    new = f"select * from {sql.scan([ledger.file(version)])}"
    old = "select null::varchar as email, null::varchar as state where false"
    if version > 1:
        old = f"select email, state from {sql.scan([ledger.file(version - 1)])}"
    leavers.start(sql)
    sql.run(
        f"""insert into leavers select n.email, n.contact_id, null from ({new}) n
        left join ({old}) o on o.email = n.email
        where n.state = '{IN}' and o.state is distinct from '{IN}'"""
    )
    sql.run(
        f"""create or replace table clean as select (row_number() over (order by n.email) - 1)::bigint as row, n.email
        from ({new}) n join ({old}) o on o.email = n.email where n.state = '{OUT}' and o.state = '{IN}'
        order by n.email"""
    )
    sql.run("create or replace table removed as select email from clean")
    sql.run("create or replace table aside (row bigint, outcome varchar, reason varchar, field varchar)")
    sql.run("create or replace table keys as select row, true as plain, email from clean")
    return int(sql.one("select count(*) from clean")[0])


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
