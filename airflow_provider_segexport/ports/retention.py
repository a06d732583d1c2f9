"""Removes run folders that nobody needs any more: `runs of a task, time -> the old ones`.

Kept whatever their age: a task instance whose newest run has not ended (a retry or a deferred task goes on in it), a
run that an audience's state names as open (the next run of the audience reads what it sent), and the newest runs of
each task. The age is that of the report; a report from the future, as a wrong clock writes it, has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_segexport.ports.audiences import audiences
from airflow_provider_segexport.ports.places import Place, names
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.ports.standing import Standing

DAY_S = 86_400.0
NEWEST = 5
"""Runs of a task that stay at any age: `explain` reads so many, and a clock that runs ahead removes no more."""

MOST_REMOVED, MOST_LOOKED_AT = 5, 40
"""Folders that one export removes, and whose reports it reads: it must not wait for a store with years of runs."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long run folders stay.

    Attributes:
        root: where the ledgers are, whose audiences name open runs.
        now: epoch seconds.
        days: age from which a run is old.
    """

    root: Place
    now: float
    days: float

    def old(self, task: Place, most: int = 1_000_000) -> Iterator[Place]:
        """The folders of a task's old runs.

        Args:
            task: the folder of one task, which holds a folder for each of its runs.
            most: reports to read; which ones changes from minute to minute.
        """
        runs = names(task)
        start = int(self.now // 60) % len(runs) if len(runs) > most else 0
        ended: list[tuple[float, Place]] = []
        for run in (runs[start:] + runs[:start])[:most]:
            for index in names(task / run):
                ended += self._ended(task / run / index)
        ended.sort(key=lambda one: one[0], reverse=True)
        candidates = [place for at, place in ended[NEWEST:] if 0 <= at < self.now - self.days * DAY_S]
        if candidates:
            opened = {Standing.of(place).open for place in audiences(self.root)}
            yield from (place for place in candidates if not any(_same(place, name) for name in opened if name))

    def _ended(self, home: Place) -> Iterator[tuple[float, Place]]:
        """When each generation of a task instance ended, if its newest one has."""
        newest = RunFolder.newest(home)
        if newest is None or not newest.finished():
            return
        for name in names(home):
            summary = RunFolder(home / name).summary() if name.isdecimal() else None
            if summary is not None and (summary.get("finished") or summary.get("superseded")):
                yield float(summary.get("ended_at") or self.now), home / name

    def every_task(self, runs: Place) -> Iterator[Place]:
        """The folders of all tasks."""
        for dag in names(runs):
            for task in names(runs / dag):
                yield runs / dag / task


def _same(place: Place, name: str) -> bool:
    """Whether a name in an audience's state is this folder; the root may be written in another way by now."""
    return str(place) == name or name.rstrip("/").split("/")[-5:] == str(place).split("/")[-5:]


def remove(place: Place) -> None:
    """Remove a run folder. The report goes last, so that a removal that broke off is taken up again."""
    for name in sorted(names(place), key=lambda name: name == "summary.json"):
        if (place / name).is_dir():
            remove(place / name)
        else:
            (place / name).unlink(missing_ok=True)
    for folder in (place, place.parent, place.parent.parent):
        if names(folder):
            return
        if hasattr(folder, "rmdir") and folder.exists():
            folder.rmdir()
