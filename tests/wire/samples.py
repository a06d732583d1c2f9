"""Wire samples: documented or observed exchanges with vendors, each with its source and date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_segexport.model import Batch, batch_id

SAMPLES_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        exchanges: requests and responses in order. A response's body is the vendor's JSON, or text if it is not JSON.
        outcome: the provider's result for the exchanges.
        audience, auth: `known` or `unknown`, `good` or `wrong`.
        emails, items: the batch; items where the provider would not write such ones itself.
        unpublished: seen, or described in prose, and not in the specification.
        settings, seed, wait, times: bring the simulator into the same state.
    """

    vendor: str
    name: str
    source: str
    read: str
    what: str
    operation: str
    exchanges: tuple[Mapping[str, Any], ...]
    outcome: Mapping[str, Any]
    audience: str = "known"
    auth: str = "good"
    emails: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    ticket: str = ""
    unknown_ticket: bool = False
    new_field: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: tuple[Mapping[str, Any], ...] = ()
    wait: float = 0
    times: int = 1
    now: float = 0
    unpublished: bool = False

    def __str__(self) -> str:
        return f"{self.vendor}-{self.name}"


def load(path: Path) -> Sample:
    content = json.loads(path.read_text())
    lists = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
    return Sample(vendor=path.parent.name, name=path.stem, **{**content, **lists})


SAMPLES = [load(path) for path in sorted(SAMPLES_FOLDER.glob("*/*.json"))]


def body_of(reply: Mapping[str, Any]) -> bytes:
    """Return a response's body as bytes."""
    return str(reply["text"]).encode() if "text" in reply else json.dumps(reply["body"]).encode()


def batch_of(emails: tuple[str, ...], items: tuple[str, ...]) -> Batch:
    return Batch(batch_id(items), list(range(len(emails))), list(emails), list(items))


def shape(value: Any) -> Any:
    """Return keys and types of a JSON value without its content; an array has the shape of its first element."""
    match value:
        case dict():
            return {key: shape(item) for key, item in value.items()}
        case list():
            return [shape(value[0])] if value else []
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case None:
            return "anything"
        case _:
            return "text"


def fits(sample: Any, other: Any) -> bool:
    """Return whether all members of the sample are in the other value, with the same types."""
    match sample, other:
        case dict(), dict():
            return all(key in other and fits(field, other[key]) for key, field in sample.items())
        case list(), list():
            return not sample or not other or fits(sample[0], other[0])
        case _:
            return "anything" in {str(sample), str(other)} or sample == other
