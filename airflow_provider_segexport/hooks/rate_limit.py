"""Chooses where the calls of a connection's account are counted: `session -> rate limiter`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk.configuration import conf

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks.masking import mask_password_of
from airflow_provider_segexport.hooks.paths import SECTION, default_root, state_path
from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.ratelimit.backends import account_key, open_store
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.storage.paths import as_local_path

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession


def rate_limiter_for(session: VendorSession, max_wait_s: float) -> RateLimiter:
    """Return the rate limiter for a session; all tasks that use the same account and store share its counts.

    Args:
        session: the account. If it has low priority, it leaves a part of the quota to other tasks.
        max_wait_s: a call that would have to wait longer than this fails, in seconds.
    """
    account = account_key(session.vendor.name, session.settings.endpoint.base_url, session.quota_account)
    limits, calls_per_minute = session.vendor.limits, session.settings.calls_per_minute
    if calls_per_minute is not None:
        limits = replace(limits, rates=(Rate(calls_per_minute, 60),))
    machine = session.machine()
    store = open_store(rate_limit_store(), account, limits, backfill=session.low_priority, machine=machine)
    return RateLimiter(
        session.vendor,
        store,
        max_wait_s=max_wait_s,
        backfill=session.low_priority,
        sleep=session.interruptible_sleep,
        clock=session.clock,
        uptime=machine.uptime if machine is not None else None,
        raise_if_stopped=session.raise_if_stopped,
    )


def rate_limit_store() -> str:
    """Return `[segexport] rate_limit_store`, and mask the password in it.

    The default is the folder `quotas` in the state path, or in `$AIRFLOW_HOME/segexport` if the state path is in object
    storage.

    Raises:
        InvalidConnection: the option is no path and no URL.
    """
    url = str(conf.get(SECTION, "rate_limit_store", fallback="")).strip()  # the output of a `_cmd` ends with a newline
    try:
        mask_password_of(url)
    except ValueError:
        raise InvalidConnection(
            "`[segexport] rate_limit_store` is no URL. To fix: write it as redis://host:6379/0, with an IPv6 address "
            "in brackets and with %5B and %5D for brackets in a password."
        ) from None
    return url or str((as_local_path(state_path()) or default_root()) / "quotas")
