"""What is sent long after it was planned: whoever has left the audience meanwhile is not brought back.

A plan may wait: for a retry, for a person, for the vendor's next day of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from airflow_provider_segexport.errors import BatchRefused
from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.model import Batch, Reason, Refusal, Reply, Settled, Target
from airflow_provider_segexport.ports.engine import engine
from airflow_provider_segexport.stages import known, readback, settle

LATE_S = 600.0
"""A try that begins with a plan older than this sends nothing without another look at who is in the audience."""

WORDS = "Left the audience between the plan and the call."

Pending = Batch | tuple[Batch, str]
Answer = Reply | BatchRefused


def watched(
    job: Job, target: Target, planned_at: float, answered: Callable[[Batch, Answer], list[Batch]]
) -> Callable[[Batch, Answer], list[Batch]]:
    """The same bookkeeping; what is to go out again, long after the plan, is looked at again first."""

    def told(batch: Batch, answer: Answer) -> list[Batch]:
        instead = answered(batch, answer)
        if not (instead and is_late(job, planned_at)):
            return instead
        sifted = without_leavers(job, target, iter(instead), answered)
        return [one for one in sifted if isinstance(one, Batch)]

    return told


def is_late(job: Job, planned_at: float) -> bool:
    """Whether the plan is old, at a vendor whose imports bring people back."""
    return job.vendor.readds_leavers and job.world.clock() - planned_at > LATE_S


def without_leavers(
    job: Job, target: Target, pending: Iterator[Pending], answered: Callable[[Batch, Answer], list[Batch]]
) -> Iterator[Pending]:
    """The same batches; one with leavers in it gives way to what is left of it, and the leavers have their verdict.

    The audience is read back when the first batch is asked for that has not been sent.
    """
    ledger = job.ledger(target)
    with engine() as sql:
        looked = False
        for one in pending:
            if isinstance(one, tuple) or not ledger.version() or one.generation >= settle.MOST_GENERATIONS:
                yield one
                continue
            if not looked:
                known.load(sql, ledger, ledger.version())
                job.drive(job.vendor.members(target, readback.Pages(sql)))
                readback.find_gone(sql)
                looked = True
            if left := readback.left(sql, one):
                yield from answered(one, set_apart(one, left, Reason.LEFT_AUDIENCE, WORDS))
            else:
                yield one


def set_apart(batch: Batch, indexes: Sequence[int], reason: Reason, words: str) -> Settled:
    """A verdict on some entries of a batch that was not sent; the others go out."""
    refused = tuple(Refusal(index, reason, "", words) for index in indexes)
    return Settled(refused=refused, again=tuple(sorted(set(range(len(batch))) - set(indexes))))
