"""Listens to every exchange with the simulator, and holds those of vendors with a published specification to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from simulator import constant_contact_client, specifications
from simulator.specifications import SPECS
from vendors import omnisend_shapes, request_schemas

from airflow_provider_segexport.simulator.app import VendorApp
from airflow_provider_segexport.simulator.requestlog import Entry
from airflow_provider_segexport.simulator.wire import Reply


def constant_contact(method: str, path: str, body: object, answer: Answer) -> None:
    """The specification's paths begin below `/v3`; sign-in is not in it."""
    if path.startswith("/v3/"):
        constant_contact_client.check_exchange(method, path.removeprefix("/v3"), body, answer)


CHECKS: dict[str, Callable[..., None]] = {
    "dotdigital": specifications.check_exchange,
    "constant_contact": constant_contact,
    "omnisend": omnisend_shapes.check_exchange,
}
ASKED: dict[str, Callable[..., None]] = {
    "dotdigital": request_schemas.dotdigital,
    "constant_contact": request_schemas.constant_contact,
}
"""Requests alone, whatever became of them."""

IN_FILES = {"dotdigital", "constant_contact"}
"""Vendors whose specification is a file beside this repository; the others' stands here by hand."""


@dataclass(frozen=True)
class Answer:
    """A reply as the checks read one."""

    status_code: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status_code < 400

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Exchange:
    """One request, as it arrived, and its answer."""

    entry: Entry
    answer: Answer

    def check(self) -> None:
        """Raise where the vendor's specification does not hold what was sent or answered."""
        entry = self.entry
        is_json = entry.headers.get("content-type", "").startswith("application/json")
        body = json.loads(entry.body) if entry.body and is_json else None
        if entry.vendor in ASKED:
            ASKED[entry.vendor](entry.method, entry.path, entry.query, body)
        if not entry.fault:
            CHECKS[entry.vendor](entry.method, entry.path, body, self.answer)


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exchange]]:
    """The exchanges of this test. Replies that a scripted fault has spoilt are the test's own business.

    A test that brings the simulator to say what no specification holds clears the list.
    """
    heard: list[Exchange] = []
    note = VendorApp._note

    def listening(entry: Entry, reply: Reply | None) -> Reply | None:
        if reply is not None and entry.vendor in CHECKS:
            heard.append(Exchange(entry, Answer(reply.status, reply.body, reply.headers)))
        return note(entry, reply)

    monkeypatch.setattr(VendorApp, "_note", staticmethod(listening))
    yield heard
    for exchange in heard:
        if exchange.entry.vendor not in IN_FILES or SPECS.is_dir():
            exchange.check()
