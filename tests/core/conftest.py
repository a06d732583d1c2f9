"""Fixtures of core tests: each error is read for people and secrets; an S3 server; a lease of an audience."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from core.lease_holders import Audience
from core.rate_limits import accounts
from message_guard import messages
from quota_stores import STORES, quota_store
from upath import UPath

__all__ = ["messages"]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """An S3 server."""
    from s3 import s3_server  # noqa: PLC0415 - brings moto; who runs other tests does not wait for it

    with s3_server() as running:
        yield running


@pytest.fixture(params=["disk", "objects"])
def audience(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Audience]:
    """An audience whose lease is on a disk or in object storage."""
    name = request.function.__name__
    path: Any = tmp_path / "ledger" if request.param == "disk" else UPath(f"memory://{name}/ledger")
    harness = Audience(path)
    yield harness
    for lease in harness.taken:
        lease.release()
    if request.param == "objects":
        path.fs.store.clear()


@pytest.fixture(params=STORES)
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A function that makes an account whose calls are counted in one of the stores."""
    yield from accounts(quota_store(request.param, tmp_path / "quotas"))


@pytest.fixture
def filed(tmp_path: Path) -> Iterator[Any]:
    """A function that makes an account whose calls are counted in files."""
    yield from accounts(str(tmp_path / "quotas"))
