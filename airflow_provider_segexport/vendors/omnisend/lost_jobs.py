"""Omnisend: the jobs that batches became whose call had no answer.

Batches OpenAPI 2026-03-15, read 2026-08: the brand's batches are listed, and a batch's items echo the requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_segexport.model import Audience, Batch, BatchKind, JobId, Operation, Sleep
from airflow_provider_segexport.vendors.omnisend.imports import PAGE_SIZE, RUNNING_STATES, read_batch
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.responses import as_int, as_object, as_objects, as_text, get, id_of
from airflow_provider_segexport.vendors.timestamps import day_before, to_epoch_s

CLOCK_SKEW_S = 120.0
"""So far the vendor's clock may be behind ours.

Nothing of this run was made before its check, by the vendor's clock: an earlier run may have sent the same people the
same values, and one in between others.
"""
MAX_PAGES = 20
MAX_BATCHES_READ = 40
"""Batches of the right size whose items are read; those made nearest to the time first."""
POLL_WAITS_S = (0.0, 2.0, 5.0, 10.0, 20.0)
"""Waits for batches that are not finished: their items are told when they are done."""


def find_lost_jobs(
    audience: Audience, batches: Sequence[Batch], since: float, known: frozenset[str]
) -> Operation[dict[str, JobId]]:
    """A batch whose finished items are ours to the letter is ours. Who is left is sent again.

    The same people with other values are an earlier run's: to take their batch for this one would lose the new values.
    """
    wanted = {comparable(map(json.loads, batch.items)): batch.id for batch in batches if batch.kind is BatchKind.UPSERT}
    earliest = max(since - CLOCK_SKEW_S, float(audience.extra.get("checked_at", 0.0)))
    near = yield from find_candidates(audience, {len(as_objects) for as_objects in wanted}, since, earliest)
    left = [ticket for ticket in near if ticket not in known][:MAX_BATCHES_READ]
    found: dict[str, JobId] = {}
    for wait in POLL_WAITS_S:
        if not wanted or not left:
            break
        yield Sleep(wait)
        unfinished = []
        for ticket in left:
            told = yield from read_batch(audience, f"{ticket}/items")
            if told is None:
                continue
            if as_text(told.get("status")) in RUNNING_STATES:
                unfinished.append(ticket)
                continue
            done = [*as_objects(told.get("responses")), *as_objects(told.get("errors"))]
            name = wanted.pop(comparable(one.get("request") for one in done), None)
            if name:
                found[name] = JobId(ticket)
        left = unfinished
    return found


def comparable(as_objects: Iterable[Any]) -> frozenset[str]:
    """Items that can be compared, whatever the order of items and of their members."""
    return frozenset(json.dumps(item, sort_keys=True) for item in as_objects)


def find_candidates(audience: Audience, sizes: set[int], since: float, earliest: float) -> Operation[list[str]]:
    """Batches of these sizes that were made since the earliest time; those nearest to `since` come first.

    Newest first is hoped for, as when polling.
    """
    near = list[tuple[float, str]]()
    for page in range(MAX_PAGES if sizes else 0):
        asked = {
            "endpoint": "contacts",
            "limit": str(PAGE_SIZE),
            "offset": str(page * PAGE_SIZE),
            "dateFrom": day_before(since),
        }
        listed = as_objects(
            as_object(read_json((yield versioned(get(f"{audience.base_url}/batches", **asked))))).get("batches")
        )
        recent = [(at, one) for at, one in ((created_at(one), one) for one in listed) if at >= earliest]
        alike = [(at, id_of(one.get("batchID"))) for at, one in recent if as_int(one.get("totalCount")) in sizes]
        near += [(abs(at - since), ticket) for at, ticket in alike if ticket]
        if not recent or len(listed) < PAGE_SIZE:
            break
    return [ticket for _, ticket in sorted(near)]


def created_at(batch: dict[str, Any]) -> float:
    """When a batch was made, in epoch seconds."""
    return to_epoch_s(str(batch.get("createdAt"))) or 0.0
