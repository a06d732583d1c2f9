"""Checks every exchange with the simulator against the vendor's published specification."""

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
    """The specification's paths begin below `/v3`; it does not describe logins."""
    if path.startswith("/v3/"):
        constant_contact_client.check_exchange(method, path.removeprefix("/v3"), body, answer)


CHECKS: dict[str, Callable[..., None]] = {
    "dotdigital": specifications.check_exchange,
    "constant_contact": constant_contact,
    "omnisend": omnisend_shapes.check_exchange,
}
REQUEST_CHECKS: dict[str, Callable[..., None]] = {
    "dotdigital": request_schemas.dotdigital,
    "constant_contact": request_schemas.constant_contact,
}
"""Checks of requests, independent of the response."""

IN_FILES = {"dotdigital", "constant_contact"}
"""Vendors whose specification is a file beside this repository; omnisend_shapes.py has the other one."""


@dataclass(frozen=True)
class Answer:
    """A response in the form that the checks read."""

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
    """One received request and its response."""

    entry: Entry
    answer: Answer

    def check(self) -> None:
        """Raise if the request or the response violates the vendor's specification."""
        entry = self.entry
        is_json = entry.headers.get("content-type", "").startswith("application/json")
        body = json.loads(entry.body) if entry.body and is_json else None
        if entry.vendor in REQUEST_CHECKS:
            REQUEST_CHECKS[entry.vendor](entry.method, entry.path, entry.query, body)
        if not entry.fault:
            CHECKS[entry.vendor](entry.method, entry.path, body, self.answer)


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exchange]]:
    """Yield the exchanges of this test. Responses that a scripted fault changed are not checked.

    A test with undocumented responses clears the list.
    """
    heard: list[Exchange] = []
    note = VendorApp._record

    def listening(entry: Entry, reply: Reply | None) -> Reply | None:
        if reply is not None and entry.vendor in CHECKS:
            heard.append(Exchange(entry, Answer(reply.status, reply.body, reply.headers)))
        return note(entry, reply)

    monkeypatch.setattr(VendorApp, "_record", staticmethod(listening))
    yield heard
    for exchange in heard:
        if exchange.entry.vendor not in IN_FILES or SPECS.is_dir():
            exchange.check()
