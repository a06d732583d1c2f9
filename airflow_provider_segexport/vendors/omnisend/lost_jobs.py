"""Omnisend: identifies the jobs of batches whose response was lost.

The API lists the brand's batches, and a batch's items contain their requests (batches OpenAPI 2026-03-15, read
2026-08).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_segexport.model import Audience, Batch, BatchKind, JobId, Operation, Sleep
from airflow_provider_segexport.vendors.omnisend.imports import PAGE_SIZE, RUNNING_STATES, read_batch
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.omnisend.tags import items_as_sent
from airflow_provider_segexport.vendors.responses import as_int, as_object, as_objects, as_text, get, id_of
from airflow_provider_segexport.vendors.timestamps import day_before, to_epoch_s

CLOCK_SKEW_S = 120.0
"""Assumed maximum difference in seconds by which the vendor's clock is slow."""
MAX_PAGES = 20
MAX_BATCHES_READ = 40
"""Maximum batches of a matching size whose items are read, closest in creation time first."""
POLL_WAITS_S = (0.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds before each read of unfinished batches, because a batch has no items before it has finished."""


def find_lost_jobs(
    audience: Audience, batches: Sequence[Batch], since: float, other_job_ids: frozenset[str]
) -> Operation[dict[str, JobId]]:
    """Return finished jobs whose items equal those of a batch. Batches without such a job are sent again.

    A job with the same people but different values belongs to an earlier run, so matching it would lose the new values.
    This run created no job before its check of the audience, so older jobs are ignored even if their values are equal:
    another run may have sent different values since then.

    Args:
        audience: the tag, with the time of the check in `extra`.
        batches: batches whose response was lost.
        since: earliest time of their calls, in epoch seconds.
        other_job_ids: job ids of other batches.

    Returns:
        Job ids by batch id.
    """
    wanted = {
        comparable(map(json.loads, items_as_sent(audience, batch))): batch.id
        for batch in batches
        if batch.kind is BatchKind.UPSERT
    }
    earliest = max(since - CLOCK_SKEW_S, float(audience.extra.get("checked_at", 0.0)))
    candidates = yield from find_candidates(audience, {len(items) for items in wanted}, since, earliest)
    pending = [job_id for job_id in candidates if job_id not in other_job_ids][:MAX_BATCHES_READ]
    jobs: dict[str, JobId] = {}
    for wait_s in POLL_WAITS_S:
        if not wanted or not pending:
            break
        yield Sleep(wait_s)
        unfinished = []
        for job_id in pending:
            report = yield from read_batch(audience, f"{job_id}/items")
            if report is None:
                continue
            if as_text(report.get("status")) in RUNNING_STATES:
                unfinished.append(job_id)
                continue
            results = [*as_objects(report.get("responses")), *as_objects(report.get("errors"))]
            batch = wanted.pop(comparable(result.get("request") for result in results), None)
            if batch:
                jobs[batch] = JobId(job_id)
        pending = unfinished
    return jobs


def comparable(items: Iterable[Any]) -> frozenset[str]:
    """Return items in a form whose comparison ignores the order of items and of members."""
    return frozenset(json.dumps(item, sort_keys=True) for item in items)


def find_candidates(audience: Audience, sizes: set[int], since: float, earliest: float) -> Operation[list[str]]:
    """Return the ids of batches with one of the sizes, closest to `since` in creation time first.

    Reading ends at the first page without a batch since `earliest`. The API does not document an order; newest first is
    expected, as when polling.

    Args:
        audience: the tag.
        sizes: accepted numbers of items in a batch.
        since: expected time of creation, in epoch seconds.
        earliest: batches created before this time are ignored, in epoch seconds.
    """
    candidates = list[tuple[float, str]]()
    for page in range(MAX_PAGES if sizes else 0):
        offset = str(page * PAGE_SIZE)
        query = {"endpoint": "contacts", "limit": str(PAGE_SIZE), "offset": offset, "dateFrom": day_before(since)}
        content = as_object(read_json((yield versioned(get(f"{audience.base_url}/batches", **query)))))
        batches = as_objects(content.get("batches"))
        recent = [batch for batch in batches if created_at(batch) >= earliest]
        for batch in recent:
            job_id = id_of(batch.get("batchID"))
            if job_id and as_int(batch.get("totalCount")) in sizes:
                candidates.append((abs(created_at(batch) - since), job_id))
        if not recent or len(batches) < PAGE_SIZE:
            break
    return [job_id for _, job_id in sorted(candidates)]


def created_at(batch: dict[str, Any]) -> float:
    """Return a batch's creation time in epoch seconds; 0 if unknown."""
    return to_epoch_s(str(batch.get("createdAt"))) or 0.0
