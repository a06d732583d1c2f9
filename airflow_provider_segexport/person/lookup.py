"""Looks up one person in many audiences within a limited time: `ledgers -> the person's row in each`.

The newest version of each ledger and the rejects of the newest run are read, and nothing is written. `explain` also
searches older versions and runs, and checks the files' checksums, which takes longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from airflow_provider_segexport.person.explain import UndeliveredRow, read_row, undelivered
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath

READER_THREADS = 16
"""Ledgers read at a time: in object storage each takes several round trips."""

SEARCH_S = 20.0
"""Seconds after which no further audience is searched: a browser's user and a proxy wait no longer."""


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience to search.

    Attributes:
        path: folder of its ledger.
        runs: its runs whose rejects may be searched, oldest first: mappings with `run`, `as_of` and `run_folder`.
    """

    path: StoragePath
    runs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The result of searching one audience.

    Attributes:
        row: the person's row in the ledger, by column; None if there is none.
        missed: the person's rows that the newest run did not deliver.
        searched: whether the audience was searched; False if `SEARCH_S` had passed.
        readable: whether the ledger could be read.
        rejects_read: whether the rejects of the newest run could be read. They are removed with old run folders.
    """

    row: Mapping[str, Any] | None = None
    missed: tuple[UndeliveredRow, ...] = ()
    searched: bool = True
    readable: bool = True
    rejects_read: bool = True


def look_up(
    audiences: Sequence[Audience],
    person: Person,
    resolve: PathResolver,
    clock: Callable[[], float] = time.monotonic,
) -> list[Match]:
    """Return the person's records in each audience, in the order of the audiences.

    Args:
        audiences: to search.
        person: to look up.
        resolve: turns a run folder's path into a storage path.
        clock: seconds.
    """
    end = clock() + SEARCH_S

    def search(audience: Audience) -> Match:
        return _search(audience, person, resolve) if clock() < end else Match(searched=False)

    with ThreadPoolExecutor(READER_THREADS) as readers:
        return list(readers.map(search, audiences))


def _search(audience: Audience, person: Person, resolve: PathResolver) -> Match:
    readable, row = True, None
    try:
        ledger = Ledger(audience.path)
        newest = ledger.version()
        row = read_row(ledger, newest, person) if newest else None
    except Exception:  # noqa: BLE001 - a damaged file may raise anything, and the text may quote the address
        readable = False
    try:
        missed, _, unread = undelivered(audience.runs, person, resolve, 1)
    except Exception:  # noqa: BLE001 - same
        return Match(row or None, readable=readable, rejects_read=False)
    return Match(row or None, missed, readable=readable, rejects_read=not unread)
