"""Checks every error of the provider that a test raises: its message contains no address and no secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from airflow_provider_segexport.errors import SegexportError

ADDRESS = re.compile(r"[^\s\"'<>,;:()*]+@[^\s\"'<>,;:()]+")
SECRET = re.compile(r"s3cret|jane\.secret", re.IGNORECASE)


@pytest.fixture(autouse=True)
def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Messages of the errors in this test; at its end, none may contain an address or a secret."""
    texts: list[str] = []
    original = SegexportError.__init__

    def recording(self: SegexportError, *args: object) -> None:
        original(self, *args)
        texts.append(str(self))

    monkeypatch.setattr(SegexportError, "__init__", recording)
    yield texts
    assert [text for text in texts if ADDRESS.search(text) or SECRET.search(text)] == []
