"""Brings into the ledger what a run has done that died before it could: `its run folder -> ledger`.

Another run would plan against a ledger that does not know of it: people that it put in would never be taken out, and
values that it changed would pass for unchanged.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.ports.engine import engine
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.ports.standing import Standing
from airflow_provider_segexport.stages import commit

log = logging.getLogger(__name__)


def recover(job: Job, ledger: Ledger, standing: Standing) -> Standing:
    """Settle a run that died; the standing after it. What it sent without an answer is sent again where it is due."""
    if not standing.open or standing.open == str(job.world.folder.place):
        return standing
    folder = RunFolder(job.world.resolve(standing.open))
    found = folder.plan()
    if found is None:
        log.warning("The run folder %s of a run that was not ended is gone; what it sent is not known.", standing.open)
    else:
        planned, facts = found
        origin = commit.Origin(
            facts["as_of"],
            standing.run,
            planned.profiles,
            finished=False,
            started_at=facts["started_at"],
            ended_at=job.world.clock(),
            bit=facts.get("bit"),
            in_flight=True,
            keeps_left=job.vendor.readds_leavers,
        )
        with engine() as sql:
            version = commit.commit(sql, ledger, folder, commit.Names(planned.batches, planned.removals), origin)
        log.info("The run %s had not come to its end; the ledger knows of it now (version %d).", standing.run, version)
    settled = replace(standing, open="")
    settled.write(ledger.place)
    return settled
