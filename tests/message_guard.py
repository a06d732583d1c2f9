"""Listens to every error of ours that a test brings up, and finds the person or the secret in its words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from airflow_provider_segexport.errors import SegexportError

ADDRESS = re.compile(r"[^\s\"'<>,;:()*]+@[^\s\"'<>,;:()]+")
SECRET = re.compile(r"s3cret|jane\.secret", re.IGNORECASE)


@pytest.fixture(autouse=True)
def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What errors said in this test. None of it holds an address or a secret."""
    told: list[str] = []
    plain = SegexportError.__init__

    def telling(self: SegexportError, *args: object) -> None:
        plain(self, *args)
        told.append(str(self))

    monkeypatch.setattr(SegexportError, "__init__", telling)
    yield told
    assert [words for words in told if ADDRESS.search(words) or SECRET.search(words)] == []
