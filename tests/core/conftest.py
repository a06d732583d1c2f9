"""Every error that a core test brings up is read for people and secrets; a module may have an S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from message_guard import messages

__all__ = ["messages"]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """An S3 server."""
    from s3 import s3_server  # noqa: PLC0415 - brings moto; who runs other tests does not wait for it

    with s3_server() as running:
        yield running
