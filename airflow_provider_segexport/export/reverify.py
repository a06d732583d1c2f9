"""What is sent long after it was planned: whoever has left the audience meanwhile is not brought back.

A plan may wait: for a retry, for a person, for the vendor's next day of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.model import Audience, Batch, BatchReply, BatchResult, Reason, RowRejection
from airflow_provider_segexport.stages import load_ledger, readback, record
from airflow_provider_segexport.storage.duckdb_engine import engine

LATE_S = 600.0
"""A try that begins with a plan older than this sends nothing without another look at who is in the audience."""

WORDS = "Left the audience between the plan and the call."

Pending = Batch | tuple[Batch, str]
Answer = BatchReply | BatchRejected


def reverify_resends(
    context: ExportContext, audience: Audience, planned_at: float, answered: Callable[[Batch, Answer], list[Batch]]
) -> Callable[[Batch, Answer], list[Batch]]:
    """The same bookkeeping; what is to go out again, long after the plan, is looked at again first."""

    def told(batch: Batch, answer: Answer) -> list[Batch]:
        instead = answered(batch, answer)
        if not (instead and is_stale_plan(context, planned_at)):
            return instead
        sifted = drop_leavers(context, audience, iter(instead), answered)
        return [one for one in sifted if isinstance(one, Batch)]

    return told


def is_stale_plan(context: ExportContext, planned_at: float) -> bool:
    """Whether the plan is old, at a vendor whose imports bring people back."""
    return context.vendor.import_readds_leavers and context.environment.clock() - planned_at > LATE_S


def drop_leavers(
    context: ExportContext,
    audience: Audience,
    pending: Iterator[Pending],
    answered: Callable[[Batch, Answer], list[Batch]],
) -> Iterator[Pending]:
    """The same batches; one with leavers in it gives way to what is left of it, and the leavers have their verdict.

    The audience is read back when the first batch is asked for that has not been sent.
    """
    ledger = context.ledger(audience)
    with engine() as sql:
        looked = False
        for one in pending:
            if isinstance(one, tuple) or not ledger.version() or one.attempt >= record.MOST_GENERATIONS:
                yield one
                continue
            if not looked:
                load_ledger.load(sql, ledger, ledger.version())
                context.run_operation(context.vendor.list_members(audience, readback.Pages(sql)))
                readback.find_gone(sql)
                looked = True
            if left := readback.left_rows(sql, one):
                yield from answered(one, split_result(one, left, Reason.LEFT_AUDIENCE, WORDS))
            else:
                yield one


def split_result(batch: Batch, indexes: Sequence[int], reason: Reason, words: str) -> BatchResult:
    """A verdict on some entries of a batch that was not sent; the others go out."""
    refused = tuple(RowRejection(index, reason, "", words) for index in indexes)
    return BatchResult(rejected=refused, retry=tuple(sorted(set(range(len(batch))) - set(indexes))))
