"""Replies beyond every size and form, to every call of a full life at each vendor: upserts, removals, reads, polls.

Each run ends soon, well or with an error of ours. No person is lost, and once the replies are as usual, the audience
reaches its expected state. A sample runs by default, and all with `SEGEXPORT_MUTATIONS=all` (`make chaos`).
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vendors.lifecycle import LAST, PHASES, Life, Phase
from vendors.mutations import Endpoint, Tap
from vendors.test_mutated_responses import Baseline, harmed

from airflow_provider_segexport import errors
from airflow_provider_segexport.simulator import Simulator

SAMPLE = int(os.environ.get("SEGEXPORT_MUTATIONS", "5").replace("all", "0"))
SEED = int(os.environ.get("SEGEXPORT_SEED", "7"))
MAX_RUN_S = 60.0
MAX_ERROR_CHARS = 3000
HOSTILE_TEXT = 'x\ud800\x1b[31m<script>alert("1")</script>\r\n\u202e ' + "long " * 60_000
NUMBER = re.compile(rb"(?<=[:\[, ])-?\d+(\.\d+)?(?=[,\]}])")


def every(kind: type | tuple[type, ...], to: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """Return a change of all values of a type in a JSON body; any other body stays."""

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            value = {name: change(inner) for name, inner in value.items()}
        elif isinstance(value, list):
            value = [change(inner) for inner in value]
        return to(value) if isinstance(value, kind) and not isinstance(value, bool) else value

    def of(body: bytes) -> bytes:
        try:
            return json.dumps(change(json.loads(body))).encode()
        except ValueError:
            return body

    return of


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "deep list": lambda _: b"[" * 70_001,
    "deep object": lambda _: b'{"a":' * 90_003,
    "deep inside": every(str, lambda text: [[text]] * 3),
    "1e999": lambda body: NUMBER.sub(b"1e999", body),
    "NaN": lambda body: NUMBER.sub(b"NaN", body),
    "5003 digits": lambda body: NUMBER.sub(b"9" * 5003, body),
    "1e300": lambda body: NUMBER.sub(b"1e300", body),
    "a billion": every((int, float), lambda _: 1_000_000_007),
    "minus one": every((int, float), lambda _: -1),
    "a fraction": every((int, float), lambda number: number + 0.5),
    "hostile texts": every(str, lambda _: HOSTILE_TEXT),
    "hostile ends": every(str, lambda text: text + "\ud800\x00"),
    "empty texts": every(str, lambda _: ""),
    "long lists": every(list, lambda items: items * 700),
    "empty lists": every(list, lambda _: []),
    "empty objects": every(dict, lambda _: {}),
    "3 MB of blanks": lambda body: b" " * 3_000_000 + body,
    "nothing": lambda _: b"",
    "half": lambda body: body[: len(body) // 2],
    "a page of HTML": lambda _: b"<html><body>" + b"<p>Please log in</p>" * 9_000,
    "another encoding": lambda body: body.decode("utf-8", "replace").encode("utf-16"),
    "binary": lambda _: bytes(range(256)) * 999,
    "twice": lambda body: body + body,
}


class HostileTap(Tap):
    """Changes each reply of one endpoint; `same` sends the first reply again and again."""

    def __init__(self, prefix: str, endpoint: Endpoint, change: Callable[[bytes], bytes] | None) -> None:
        super().__init__(prefix)
        self.endpoint, self.change, self.first = endpoint, change, b""

    def __call__(self, method: str, url: str, body: bytes) -> bytes:
        if Endpoint.of(method, url, self.prefix) != self.endpoint:
            return body
        self.struck += 1
        if self.change is not None:
            return self.change(body)
        self.first = self.first or body
        return self.first


def broken(baseline: Baseline, phase: Phase, endpoint: Endpoint, name: str) -> list[str]:
    """Play a phase with hostile replies of an endpoint, and return the promises that were broken."""
    life = baseline.life
    life.back(phase.name)
    tap = HostileTap(life.prefix, endpoint, HOSTILE.get(name))
    began = time.monotonic()
    outcome = life.play(phase, tap)
    faults = [f"takes {time.monotonic() - began:.0f} s"] if time.monotonic() - began > MAX_RUN_S else []
    if outcome.error is not None:
        kind, text = type(outcome.error), str(outcome.error)
        if kind is errors.SegexportError or kind.__module__ != errors.__name__:
            faults.append(f"ends with {kind.__name__}: {text[:200]}")
        if len(text) > MAX_ERROR_CHARS or not text.isprintable() or "<script" in text:
            faults.append(f"quotes the reply: {text[:200]!a}")
    faults += harmed(baseline, phase)
    if outcome.error is not None:
        outcome = life.play(phase)
        if outcome.error is not None:
            faults.append(f"does not recover: {type(outcome.error).__name__}: {outcome.error}")
    last = life.play(LAST)
    audience = life.audience()
    faults += harmed(baseline, phase)
    # A vendor that reports a person as rejected, and has added them, keeps them: no export can know.
    if last.error is not None or not baseline.at_last(phase).items() <= audience.items():
        faults.append(f"ends at {audience}, {last.error}; otherwise at {baseline.at_last(phase)}")
    return faults


def test_a_reply_of_any_size_and_form_ends_the_run_soon_and_loses_no_person(
    sim: Simulator, vendor: str, tmp_path: Path
):
    """At every call; the error is short, printable and ours."""
    baseline = Baseline(Life(sim, vendor, tmp_path))
    endpoints = sorted({(PHASES.index(phase), mutation.endpoint) for phase, mutation in baseline.cases})
    cases = [(PHASES[at], endpoint, name) for at, endpoint in endpoints for name in (*HOSTILE, "same")]
    chosen = random.Random(SEED).sample(cases, SAMPLE) if SAMPLE else cases
    faults = [
        f"{phase.name}: {endpoint} {name}: {fault}"
        for phase, endpoint, name in chosen
        for fault in broken(baseline, phase, endpoint, name)
    ]
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)
