"""Rate limit stores for tests: a folder, and Redis and PostgreSQL on 127.0.0.1."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

STORES = {
    "file": "",
    "redis": os.environ.get("SEGEXPORT_TEST_REDIS", "redis://127.0.0.1:6379/15"),
    "postgresql": os.environ.get("SEGEXPORT_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/test"),
}


def quota_store(name: str, folder: Path) -> str:
    """Return a store's URL or folder; skip the test if its server does not answer."""
    url = STORES[name]
    if not url:
        return str(folder)
    parts = urlsplit(url)
    with suppress(OSError), socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=2):
        return url
    pytest.skip(f"no {name} server answers at {parts.hostname}:{parts.port}")


def forget(store: str, name: str) -> None:
    """Remove an account's counts from a server."""
    if store.startswith("redis"):
        import redis  # noqa: PLC0415 - only with its server

        with redis.Redis.from_url(store) as client:
            keys = list(client.scan_iter(f"segexport:{{{name}}}:*"))
            if keys:
                client.delete(*keys)
    if store.startswith("postgresql"):
        import psycopg  # noqa: PLC0415 - only with its server
        from psycopg import sql  # noqa: PLC0415

        from airflow_provider_segexport.ratelimit.postgres import bucket_table  # noqa: PLC0415
        from airflow_provider_segexport.ratelimit.store_base import FIXED_SUFFIX  # noqa: PLC0415
        from airflow_provider_segexport.vendors.registry import VENDORS  # noqa: PLC0415

        with psycopg.connect(store) as connection:
            pools = {"all", "tags", *(pool for vendor in VENDORS.values() for pool in vendor.limits.scoped_rates)}
            for table in [*pools, *(pool + FIXED_SUFFIX for pool in pools)]:
                connection.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(bucket_table(name, table))))
            connection.execute("delete from segexport_window_states where account = %s", [name])
