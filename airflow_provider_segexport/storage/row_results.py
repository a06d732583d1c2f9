"""The table of the results of single rows that a run folder keeps of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from airflow_provider_segexport.model import Batch, BatchResult
from airflow_provider_segexport.storage.arrow import int_array, string_array
from airflow_provider_segexport.storage.files import LazyColumn

ROW_RESULTS = pa.schema(
    [
        ("row", pa.int64()),
        ("email", pa.string()),
        ("reason", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("contact_id", pa.string()),
    ]
)
"""A row without a `reason` was accepted. If it has a `code`, its proof of consent was not applied."""


def table(batch: Batch, result: BatchResult) -> pa.Table | None:
    """Return a table of the rejections, contact ids, and proofs that were not applied; None if there are none."""
    rejected, warnings = result.rejected, {warning.index: warning for warning in result.proof_not_applied}
    accepted = dict.fromkeys(warnings) | dict(result.contact_ids)
    if not rejected and not accepted:
        return None
    indexes = [*(row.index for row in rejected), *accepted]
    nulls: list[str | None] = [None] * len(accepted)
    codes = [warnings[index].code if index in warnings else None for index in accepted] if warnings else nulls
    texts = [warnings[index].message if index in warnings else None for index in accepted] if warnings else nulls
    return pa.table(
        {
            "row": _take(batch.rows, indexes, int_array),
            "email": _take(batch.emails, indexes, string_array),
            "reason": string_array([*(row.reason for row in rejected), *nulls]),
            "code": string_array([*(row.code for row in rejected), *codes]),
            "message": string_array([*(row.message for row in rejected), *texts]),
            "contact_id": string_array([*(None for _ in rejected), *accepted.values()]),
        },
        schema=ROW_RESULTS,
    )


def _take(values: Sequence[Any], indexes: Sequence[int], to_array: Callable[[list[Any]], pa.Array]) -> pa.Array:
    """Return some of a batch's row numbers or addresses as a column."""
    return values.take(indexes) if isinstance(values, LazyColumn) else to_array([values[index] for index in indexes])
