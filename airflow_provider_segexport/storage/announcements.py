"""Records which states of audiences were announced, so that each change is announced once.

    <root>/announcements/<hash of the audience's name>-<number>.json

A process that announces a change first creates the next number. The store lets one process create it, so two schedulers
or a retry do not announce a change twice. If the process dies before it has recorded that the message was sent, the
change is announced again after `CLAIM_S`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

import msgspec

from airflow_provider_segexport.json_values import parse_object
from airflow_provider_segexport.storage.exclusive import create
from airflow_provider_segexport.storage.paths import StoragePath, ensure_folder, listing, read, write

CLAIM_S = 900.0
"""Seconds after which a change counts as not announced if its process has not recorded that it was: a mail server or a
chat responds sooner."""

STORED_ANNOUNCEMENTS = 3
"""Announcements that stay stored for each audience; older files are deleted."""

FILE_NAME = re.compile(r"([0-9a-f]{24})-([0-9]{8})\.json")


@dataclass(frozen=True, slots=True)
class Announcement:
    """A state that was announced, or is being announced.

    Attributes:
        state: the audience's state; empty for none.
        at: time of the announcement, epoch seconds.
        sent: whether the message was sent.
    """

    state: str = ""
    at: float = 0.0
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Announced:
    """The announcements of one audience, as they were when the folder was listed.

    Attributes:
        last: the last announcement that was sent; an empty state if there is none.
        pending: the announcement that a process has begun and not finished; None if there is none.
        number: the highest number in the folder; 0 if there is none.
    """

    last: Announcement = Announcement()
    pending: Announcement | None = None
    number: int = 0


class Announcements:
    """The announcements of all audiences.

    Args:
        root: the state folder.
    """

    def __init__(self, root: StoragePath) -> None:
        self._folder = ensure_folder(root / "announcements")
        self._numbers: dict[str, list[int]] = defaultdict(list)
        for name in listing(self._folder):
            if match := FILE_NAME.fullmatch(name):
                self._numbers[match[1]].append(int(match[2]))

    def announced(self, name: str, earlier_names: Iterable[str] = ()) -> Announced:
        """Return the announcements of an audience.

        Args:
            name: the audience.
            earlier_names: names that it had before, for example before its first run.
        """
        own = self._of(name)
        earlier = (self._of(other).last for other in earlier_names)
        last = max([own.last, *earlier], key=lambda item: item.at)
        return Announced(last, own.pending, own.number)

    def claim(self, name: str, announced: Announced, announcement: Announcement) -> StoragePath | None:
        """Record that this process announces a change; None if another process does.

        Args:
            name: the audience.
            announced: its announcements, from which the change was derived.
            announcement: the new state.
        """
        number = announced.number + 1
        path = self._path(name, number)
        try:
            create(path, _content(announcement))
        except FileExistsError:
            return None
        if any(other > number for other in self._listed(name)):
            # This process was slow, and others have announced newer states and deleted the file of this number.
            path.unlink(missing_ok=True)
            return None
        return path

    def confirm(self, name: str, path: StoragePath, announcement: Announcement) -> None:
        """Record that a message was sent, and delete old announcements.

        Args:
            name: the audience.
            path: of the claim.
            announcement: as it was claimed.
        """
        write(path, _content(Announcement(announcement.state, announcement.at, sent=True)))
        for number in sorted(self._listed(name))[:-STORED_ANNOUNCEMENTS]:
            with suppress(OSError):
                self._path(name, number).unlink(missing_ok=True)

    def _of(self, name: str) -> Announced:
        numbers = sorted(self._numbers.get(_hash(name), ()), reverse=True)
        if not numbers:
            return Announced()
        newest = self._read(name, numbers[0])
        sent = newest if newest.sent else next((item for item in self._older(name, numbers[1:]) if item.sent), None)
        return Announced(sent or Announcement(), None if newest.sent else newest, numbers[0])

    def _older(self, name: str, numbers: Iterable[int]) -> Iterable[Announcement]:
        return (self._read(name, number) for number in numbers)

    def _read(self, name: str, number: int) -> Announcement:
        """Return an announcement; one without a state if the file is damaged or has just been deleted."""
        try:
            return msgspec.convert(parse_object(read(self._path(name, number))), Announcement)
        except (OSError, msgspec.ValidationError):
            return Announcement()

    def _listed(self, name: str) -> list[int]:
        matches = (FILE_NAME.fullmatch(file) for file in listing(self._folder))
        return [int(match[2]) for match in matches if match and match[1] == _hash(name)]

    def _path(self, name: str, number: int) -> StoragePath:
        return self._folder / f"{_hash(name)}-{number:08d}.json"


def _hash(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=12).hexdigest()


def _content(announcement: Announcement) -> bytes:
    content: Mapping[str, object] = asdict(announcement)
    return json.dumps(content).encode()
