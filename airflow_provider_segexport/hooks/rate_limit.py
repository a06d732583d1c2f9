"""Where the calls of a connection's account are counted: `hook -> pace`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow.sdk.configuration import conf

from airflow_provider_segexport.hooks.masking import mask
from airflow_provider_segexport.hooks.paths import SECTION, default_root, state_path
from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.ratelimit.backends import account_key, open_store
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.storage.paths import as_local_path

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook


def pace_of(hook: SegmentExportHook, max_wait_s: float, *, backfill: bool = False) -> RateLimiter:
    """What every call of a hook waits for; shared with all tasks that use the same account and store.

    A backfill's calls go after those of scheduled runs.
    """
    account = account_key(hook.vendor.name, hook.settings.endpoint.base_url, hook.quota_account)
    limits, contract = hook.vendor.limits, hook.settings.calls_per_minute
    if contract is not None:
        limits = replace(limits, rates=(Rate(contract, 60),))
    store = open_store(rate_limit_store(), account, limits, backfill=backfill)
    return RateLimiter(
        hook.vendor,
        store,
        max_wait_s=max_wait_s,
        backfill=backfill,
        sleep=hook.interruptible_sleep,
        clock=hook.clock,
        raise_if_stopped=hook.raise_if_stopped,
    )


def rate_limit_store() -> str:
    """`[segexport] rate_limit_store`, by default a folder in the root, or in AIRFLOW_HOME where the root is no folder.

    A server's password is masked from here on.
    """
    told = str(conf.get(SECTION, "rate_limit_store", fallback="")).strip()  # a command's output ends with its line
    mask(unquote(urlsplit(told).password or ""))
    return told or str((as_local_path(state_path()) or default_root()) / "quotas")
