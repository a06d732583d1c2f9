"""The audiences as their cards and histories tell them: `state root -> audiences`, cut to what a user may see.

A card was written by an earlier version of this provider, or by a hand: whatever is missing or of another type is left
out here, and no page falls over it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.vendors.registry import VENDORS

READERS = 16
"""Cards read at a time: in object storage each is a round trip."""

FOLDER = re.compile(r"[A-Za-z0-9_@=~-][A-Za-z0-9_.@=~-]*")
"""What the name of a ledger's folder looks like. Nothing else is ever joined to a path."""

OUTCOMES = ("delivered", "unchanged", "rejected", "withheld", "not_attempted")


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Who ran: a task instance, or a hook outside any task (`conn_id` is set, and no DAG)."""

    dag_id: str = ""
    task_id: str = ""
    run_id: str = ""
    map_index: int = 0
    conn_id: str = ""

    @classmethod
    def read(cls, text: str) -> RunIdentity | None:
        """From `dag/task/run/map index`, or `hook/connection/number`."""
        parts = text.split("/")
        if len(parts) == 3 and parts[0] == "hook":  # noqa: PLR2004 - as it is written
            return cls(conn_id=parts[1])
        if len(parts) < 4 or not parts[-1].isdecimal():  # noqa: PLR2004 - a run id may hold slashes
            return None
        return cls(parts[0], parts[1], "/".join(parts[2:-1]), int(parts[-1]))


MaySee = Callable[[RunIdentity], bool]


@dataclass(frozen=True, slots=True)
class RunPoint:
    """One run of one export, as it ended."""

    identity: RunIdentity
    ended_at: float
    mode: str
    as_of: str
    finished: bool
    error: str
    counts: Mapping[str, int]
    removed: int
    members: int
    seconds: float
    ledger_version: int
    run_folder: str


@dataclass(frozen=True, slots=True)
class AudienceKey:
    """The folders of a ledger: vendor, account, audience."""

    vendor: str
    account: str
    audience: str

    @classmethod
    def of(cls, path: StoragePath) -> AudienceKey:
        """The key of a ledger's place."""
        return cls(path.parent.parent.name, path.parent.name, path.name)

    def place(self, root: StoragePath) -> StoragePath | None:
        """The ledger's place; None where a part is no folder's name."""
        parts = (self.vendor, self.account, self.audience)
        if self.vendor not in VENDORS or not all(FOLDER.fullmatch(part) for part in parts):
            return None
        return root / "ledgers" / self.vendor / self.account / self.audience


@dataclass(frozen=True, slots=True)
class AudienceOverview:
    """One audience with the runs that the user may see, oldest first; there is at least one."""

    key: AudienceKey
    name: str
    account: str
    audience: str
    conn_id: str
    points: tuple[RunPoint, ...]
    optouts: Mapping[str, Any]

    @property
    def newest(self) -> RunPoint:
        """The last run."""
        return self.points[-1]

    @property
    def vendor(self) -> str:
        """The vendor's name, as it writes itself."""
        return VENDORS[self.key.vendor].title

    @property
    def word(self) -> str:
        """What the vendor calls an audience."""
        return VENDORS[self.key.vendor].audience_noun


def list_audiences(root: StoragePath, may_see: MaySee) -> list[AudienceOverview]:
    """All audiences of which the user may see a run."""
    places = list(history.ledger_paths(root))
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda place: read(place, may_see), places)
        return [one for one in found if one is not None]


def read(path: StoragePath, may_see: MaySee) -> AudienceOverview | None:
    """One audience by its card; None where nothing ran, or nothing that the user may see."""
    card: Any = history.latest(path)
    key = AudienceKey.of(path)
    if not isinstance(card, Mapping) or key.vendor not in VENDORS:
        return None
    points = seen(_list(card.get("runs")), may_see)
    if not points:
        return None
    newest = may_see_text(card.get("run"), may_see)
    return AudienceOverview(
        key,
        name=_text(card.get("audience_name")) or _text(card.get("audience")) or key.audience,
        account=_text(card.get("account")),
        audience=_text(card.get("audience")) or key.audience,
        conn_id=_text(card.get("conn_id")) if newest else "",
        points=points,
        optouts=_mapping(card.get("optouts")) if newest else {},
    )


def run_points(path: StoragePath, may_see: MaySee) -> tuple[RunPoint, ...]:
    """Every run on record that the user may see, oldest first."""
    return seen(history.run_history(path), may_see)


def seen(runs: Iterable[Any], may_see: MaySee) -> tuple[RunPoint, ...]:
    """The runs of these that the user may see."""
    points = (_point(one) for one in runs)
    return tuple(point for point in points if point is not None and may_see(point.identity))


def may_see_text(run: Any, may_see: MaySee) -> bool:
    """Whether the user may see a run, as a record names it."""
    who = RunIdentity.read(_text(run))
    return who is not None and may_see(who)


def _point(found: Any) -> RunPoint | None:
    if not isinstance(found, Mapping):
        return None
    who = RunIdentity.read(_text(found.get("run")))
    if who is None:
        return None
    counts = _mapping(found.get("counts"))
    return RunPoint(
        who,
        ended_at=number(found.get("ended_at")),
        mode=_text(found.get("mode")),
        as_of=_text(found.get("as_of")),
        finished=bool(found.get("finished")),
        error=_text(found.get("error")),
        counts={name: whole(counts.get(name)) for name in ("profiles", *OUTCOMES)},
        removed=whole(_mapping(found.get("removals")).get("removed")),
        members=whole(found.get("members")),
        seconds=number(found.get("seconds")),
        ledger_version=whole(found.get("ledger_version")),
        run_folder=_text(found.get("run_folder")),
    )


def number(value: Any) -> float:
    """A number; 0 where it is none."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else 0.0


def whole(value: Any) -> int:
    """A whole number; 0 where it is none."""
    return int(number(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
