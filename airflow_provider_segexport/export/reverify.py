"""Checks an old plan again before it is sent, so that people who have left the audience since are not added again.

A plan may wait for a retry, for an approval or for the vendor's next day of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.model import Audience, Batch, BatchReply, BatchResult, Reason, RowRejection
from airflow_provider_segexport.stages import load_ledger, readback, record
from airflow_provider_segexport.storage.duckdb_engine import engine

STALE_PLAN_S = 600.0
"""Age of a plan in seconds from which the members are read again before anything is sent."""

LEFT_MESSAGE = "Left the audience between the plan and the call."

Pending = Batch | tuple[Batch, str]
Answer = BatchReply | BatchRejected


def reverify_resends(
    context: ExportContext, audience: Audience, planned_at: float, record_reply: Callable[[Batch, Answer], list[Batch]]
) -> Callable[[Batch, Answer], list[Batch]]:
    """Return `record_reply` with a check: if the plan is old, batches to send again lose the people who have left.

    Args:
        context: the run.
        audience: the audience to read back.
        planned_at: when planning began, epoch seconds.
        record_reply: records a response, and returns the batches to send next.
    """

    def record_and_recheck(batch: Batch, answer: Answer) -> list[Batch]:
        resends = record_reply(batch, answer)
        if not (resends and is_stale_plan(context, planned_at)):
            return resends
        rechecked = drop_leavers(context, audience, iter(resends), record_reply)
        return [batch for batch in rechecked if isinstance(batch, Batch)]

    return record_and_recheck


def is_stale_plan(context: ExportContext, planned_at: float) -> bool:
    """Return whether the plan is old, and the vendor's imports bring back people who have left."""
    return context.vendor.import_readds_leavers and context.environment.clock() - planned_at > STALE_PLAN_S


def drop_leavers(
    context: ExportContext,
    audience: Audience,
    pending: Iterator[Pending],
    record_reply: Callable[[Batch, Answer], list[Batch]],
) -> Iterator[Pending]:
    """Drop people who have left the audience on their own, and record this as their result.

    The audience is read back before the first batch to send is yielded.

    Args:
        context: the run.
        audience: the audience to read back.
        pending: batches to send, and pairs of a batch and its job id, which are yielded unchanged.
        record_reply: records the result of a batch with leavers, and returns the batches to send next.

    Yields:
        The batches, without the people who have left.
    """
    ledger = context.ledger(audience)
    with engine() as sql:
        has_members = False
        for batch in pending:
            if isinstance(batch, tuple) or not ledger.version() or batch.attempt >= record.MAX_RETRIES:
                yield batch
                continue
            if not has_members:
                load_ledger.load(sql, ledger, ledger.version())
                context.run_operation(context.vendor.list_members(audience, readback.Pages(sql)))
                readback.find_left(sql)
                has_members = True
            if indexes := readback.left_rows(sql, batch):
                yield from record_reply(batch, split_result(batch, indexes, Reason.LEFT_AUDIENCE, LEFT_MESSAGE))
            else:
                yield batch


def split_result(batch: Batch, indexes: Sequence[int], reason: Reason, message: str) -> BatchResult:
    """Return a result that rejects some rows of a batch that was not sent, and retries the others.

    Args:
        batch: the batch.
        indexes: indexes of the rejected rows, from 0.
        reason: the reason of the rejection.
        message: the message in the rejects.
    """
    rejected = tuple(RowRejection(index, reason, "", message) for index in indexes)
    return BatchResult(rejected=rejected, retry=tuple(sorted(set(range(len(batch))) - set(indexes))))
