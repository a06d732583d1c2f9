"""Where the calls of a connection's account are counted: `hook -> pace`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow.sdk.configuration import conf

from airflow_provider_segexport.hooks.masking import mask
from airflow_provider_segexport.hooks.state import SECTION, default_root, state_root
from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.ports.pace import Pace, account_mark, open_book
from airflow_provider_segexport.ports.places import on_disk

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook


def pace_of(hook: SegmentExportHook, longest_s: float, *, backfill: bool = False) -> Pace:
    """What every call of a hook waits for; shared with all tasks that use the same account and store.

    A backfill's calls go after those of scheduled runs.
    """
    account = account_mark(hook.vendor.name, hook.settings.access.api, hook.quota_account)
    limits, contract = hook.vendor.limits, hook.settings.calls_per_minute
    if contract is not None:
        limits = replace(limits, rates=(Rate(contract, 60),))
    book = open_book(quota_store(), account, limits, backfill=backfill)
    return Pace(
        hook.vendor,
        book,
        longest_s=longest_s,
        backfill=backfill,
        sleep=hook.wait,
        clock=hook.clock,
        gate=hook.go_on,
    )


def quota_store() -> str:
    """`[segexport] quota_store`, by default a folder in the root, or in AIRFLOW_HOME where the root is no folder.

    A server's password is masked from here on.
    """
    told = str(conf.get(SECTION, "quota_store", fallback="")).strip()  # a command's output ends with its line
    mask(unquote(urlsplit(told).password or ""))
    return told or str((on_disk(state_root()) or default_root()) / "quotas")
