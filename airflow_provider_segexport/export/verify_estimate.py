"""Estimates the effort of a verification, and decides whether the audience or a sample is read."""

from __future__ import annotations

import math
from typing import Any

from airflow_provider_segexport.export.config import ExportContext, Verify
from airflow_provider_segexport.export.estimate import quota_seconds
from airflow_provider_segexport.model import Audience

EXPORT_CALLS = 10
"""Estimated calls for exporting a list at the vendor, with its polls, where members are not read in pages."""


def estimate_reading(context: ExportContext, audience: Audience, members: int) -> dict[str, Any]:
    """Estimate the calls of a verification, and decide whether the audience or a sample is read.

    Args:
        context: the verification.
        audience: the audience, as the vendor describes it.
        members: number of people that the ledger has as members.

    Returns:
        `reads_all`, whether the whole audience is read; `people` and `calls`; `calls_whole`, the calls of reading the
        whole audience; `estimated_minutes` at the vendor's quotas. Calls for opt-outs are not included, because no
        vendor reports their number.
    """
    settings, page_size = context.config.verify or Verify(), context.vendor.verification.page_size
    people = max(audience.member_count or 0, members)
    pages = EXPORT_CALLS if page_size is None else math.ceil(people / page_size) or 1
    values = min(settings.sample_values, members) if context.config.segment else 0
    calls_whole = pages + values
    sample = min(settings.sample, members) if settings.sample is not None else None
    reads_all = sample is None or pages <= sample
    calls = calls_whole if reads_all else sample or 0
    return {
        "reads_all": reads_all,
        "people": people if reads_all else sample,
        "calls": calls,
        "calls_whole": calls_whole,
        "estimated_minutes": round(quota_seconds(context.vendor.limits.rates, calls) / 60, 1),
    }
