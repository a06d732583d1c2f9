"""Opens the store that `[segexport] rate_limit_store` names."""

from __future__ import annotations

import hashlib

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.ratelimit.clocks import Machine
from airflow_provider_segexport.ratelimit.store import QuotaStore
from airflow_provider_segexport.storage.file_url import local_text
from airflow_provider_segexport.vendors.base import Limits

CLIENT_MISSING = (
    "`[segexport] rate_limit_store` names a server whose client is not installed here. "
    "To fix: `pip install 'airflow-provider-segexport[{}]'`."
)


def account_key(vendor: str, base_url: str, account: str) -> str:
    """Return the key of an account in the store: a hash, because `account` may hold a credential.

    Args:
        vendor: the vendor's name, which is the beginning of the key.
        base_url: base URL of the account's API.
        account: identifies the account at that API, such as its login or API key.
    """
    return f"{vendor}-{hashlib.blake2b(f'{base_url}|{account}'.encode(), digest_size=10).hexdigest()}"


def open_store(
    url: str, account: str, limits: Limits, *, backfill: bool = False, machine: Machine | None = None
) -> QuotaStore:
    """Open the store of one account. The backend's client is imported here, so other deployments need not install it.

    Args:
        url: a folder of this machine, with or without `file://`; or a `redis://`, `rediss://` or `postgresql://` URL.
        account: the account's key in the store, from `account_key`.
        limits: the rates to count against.
        backfill: leave a part of every window to scheduled runs.
        machine: the machine whose clocks are read; None to use the times that callers pass, as in a test.

    Returns:
        The store. It connects when the first call is counted.

    Raises:
        InvalidConnection: no backend has this URL scheme, or its client is not installed.
    """
    folder = local_text(url)
    match "file" if folder is not None else url.partition("://")[0].partition("+")[0]:
        case "file":
            from airflow_provider_segexport.ratelimit.sqlite import SqliteQuotaStore  # noqa: PLC0415

            return SqliteQuotaStore(folder or url, account, limits, backfill=backfill, machine=machine)
        case "redis" | "rediss":
            try:
                from airflow_provider_segexport.ratelimit.redis import RedisQuotaStore  # noqa: PLC0415
            except ImportError:
                raise InvalidConnection(CLIENT_MISSING.format("redis")) from None
            return RedisQuotaStore(url, account, limits, backfill=backfill, machine=machine)
        case "postgresql" | "postgres":
            try:
                from airflow_provider_segexport.ratelimit.postgres import PostgresQuotaStore  # noqa: PLC0415
            except ImportError:
                raise InvalidConnection(CLIENT_MISSING.format("postgres")) from None
            return PostgresQuotaStore(url, account, limits, backfill=backfill, machine=machine)
        case other:
            raise InvalidConnection(
                f"`[segexport] rate_limit_store` begins with {other}://, which is not a rate limit store. To fix: name "
                "a folder that all workers of the machine can write to, or a redis://, rediss:// or postgresql:// URL, "
                "which several machines can share."
            )
