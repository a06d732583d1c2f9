"""The objects of a journal in object storage: their names, their order, and whether one of them is gone.

    journal-0000-0000000.jsonl                        created with the journal; names the last acknowledged objects
    journal-<session>-<writer>-<number>.jsonl         entries, in the order in which they were written
    journal-<session>-<writer>-<number>.folded.jsonl  the last entry of each batch, instead of the objects it covers

Each process that writes is a session with a number and a random name, so no writer ever replaces another's object.
Objects of a session are numbered from 0 without a gap. Version 1 of this package wrote names without a writer, and
objects without a header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import msgspec

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.paths import StoragePath, listing, read, read_if_exists
from airflow_provider_segexport.storage.sealing import checksum_matches, with_checksum

CREATED = with_checksum(b'{"created":true}')
"""The first line of a journal."""

FIRST_OBJECT = "journal-0000-0000000.jsonl"
NAME = re.compile(r"journal-([0-9]{4,})-(?:([0-9a-f]{8})-)?([0-9]{7,})(\.folded)?\.jsonl")
"""Session, writer, number, and the mark of a folded object. A file of another name is no part of the journal."""

MAX_READ_ATTEMPTS = 10
"""Attempts to read a journal while another process folds it."""

READERS = 16
"""Objects that are read at the same time."""


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of an object.

    Attributes:
        object: the object's name, so that a copy under another name is detected.
        entries: number of lines after the header.
        covers: by session, the last number that a folded object replaces; empty for any other object.
    """

    object: str
    entries: int
    covers: Mapping[str, int] = {}


class Acknowledged(msgspec.Struct, frozen=True):
    """The second line of the first object: by session, the last number that was stored."""

    acknowledged: Mapping[str, int]


@dataclass(frozen=True, order=True)
class Part:
    """An object of the journal."""

    session: int
    writer: str
    number: int
    is_folded: bool = False

    @classmethod
    def parse(cls, name: str) -> Part | None:
        """Return the object of this name; None if it is no part of a journal."""
        match = NAME.fullmatch(name)
        return cls(int(match[1]), match[2] or "", int(match[3]), bool(match[4])) if match else None

    @property
    def key(self) -> str:
        """The session's number and writer, as object names and headers hold them."""
        return f"{self.session:04d}-{self.writer}" if self.writer else f"{self.session:04d}"

    @property
    def name(self) -> str:
        """The name of the object."""
        return f"journal-{self.key}-{self.number:07d}{'.folded' if self.is_folded else ''}.jsonl"

    def content(self, lines: Sequence[bytes], covers: Mapping[str, int] | None = None) -> bytes:
        """Return the object's content, with its header."""
        header = msgspec.json.encode(Header(self.name, len(lines), covers or {}))
        return b"\n".join((with_checksum(header), *lines, b""))


@dataclass(frozen=True)
class Parts:
    """The objects of a journal that readers use.

    Attributes:
        folded, groups: objects that hold entries, in the order in which their entries apply: the folded ones first.
        covers: by session, the last number that folded objects replace.
        acknowledged: by session, the last number that was stored.
        has_first: whether the first object exists.
        covered: names of existing objects that a folded object replaces.
        contents: contents of `folded`, and of `groups` if they were read.
    """

    folded: tuple[Part, ...] = ()
    groups: tuple[Part, ...] = ()
    covers: Mapping[str, int] = field(default_factory=dict)
    acknowledged: Mapping[str, int] = field(default_factory=dict)
    has_first: bool = False
    covered: tuple[str, ...] = ()
    contents: Mapping[Part, bytes] = field(default_factory=dict)

    @property
    def last_session(self) -> int:
        """The highest session number; 0 if no session has written."""
        return max((int(key.partition("-")[0]) for key in self.last_numbers()), default=0)

    def last_numbers(self) -> dict[str, int]:
        """Return the last object number of each session, including objects that a folded object replaces."""
        last = dict(self.covers)
        for part in self.groups:
            last[part.key] = max(part.number, last.get(part.key, -1))
        return last

    def check(self, path: StoragePath) -> None:
        """Check that no object is missing.

        Raises:
            DamagedState: an object is missing.
        """
        if not self.has_first:
            raise DamagedState(str(path / FIRST_OBJECT), "it is gone")
        reached = dict(self.covers)
        for part in self.groups:
            if part.number != reached.get(part.key, -1) + 1:
                raise DamagedState(str(path / part.name), "an earlier part of the journal is gone")
            reached[part.key] = part.number
        for session in range(1, self.last_session):
            if not any(key.partition("-")[0] == f"{session:04d}" for key in reached):
                raise DamagedState(str(path / FIRST_OBJECT), f"session {session} of the journal is gone")
        for key, number in self.acknowledged.items():
            if reached.get(key, -1) < number:
                raise DamagedState(
                    str(path / f"journal-{key}-{number:07d}.jsonl"), "it is gone, or the object that replaces it"
                )


def find(path: StoragePath, *, contents: bool, lenient: bool = False) -> Parts:
    """Return the objects of the journal in a run folder.

    The first object is read before the folder is listed. So the listing must hold every object that the first object
    acknowledges, or a folded object that replaces it.

    Args:
        path: the run folder.
        contents: also read the objects that hold entries.
        lenient: ignore headers that cannot be read.

    Raises:
        DamagedState: a folded object or the first object has changed since it was written.
        OSError: the store cannot be read.
    """
    for attempts_left in range(MAX_READ_ATTEMPTS - 1, -1, -1):
        try:
            return _find(path, contents=contents, lenient=lenient)
        except FileNotFoundError:  # another process has folded the journal since the listing
            if not attempts_left:
                raise
    raise AssertionError  # the last attempt has returned or raised


def _find(path: StoragePath, *, contents: bool, lenient: bool) -> Parts:
    first = read_if_exists(path / FIRST_OBJECT)
    parts = sorted(filter(None, map(Part.parse, listing(path))))
    folded = tuple(part for part in parts if part.is_folded)
    texts = read_all(path, folded)
    covers: dict[str, int] = {}
    for part, content in texts.items():
        for key, number in _header(path, part, content, lenient=lenient).covers.items():
            covers[key] = max(number, covers.get(key, -1))
    groups = [part for part in parts if part.session and not part.is_folded]
    counted = tuple(part for part in groups if part.number > covers.get(part.key, -1))
    covered = tuple(part.name for part in groups if part.number <= covers.get(part.key, -1))
    acknowledged = _acknowledged(path, first or b"", lenient=lenient)
    if contents:
        texts |= read_all(path, counted)
    has_first = first is not None or any(part.name == FIRST_OBJECT for part in parts)
    return Parts(folded, counted, covers, acknowledged, has_first, covered, texts)


def read_all(path: StoragePath, parts: Sequence[Part]) -> dict[Part, bytes]:
    """Return the contents of objects. Several objects are read at the same time."""
    files = [path / part.name for part in parts]
    if len(files) <= 1:
        return dict(zip(parts, map(read, files), strict=True))
    with ThreadPoolExecutor(min(READERS, len(files)), thread_name_prefix="segexport-journal") as pool:
        return dict(zip(parts, pool.map(read, files), strict=True))


def _header(path: StoragePath, part: Part, content: bytes, *, lenient: bool) -> Header:
    """Return the header of a folded object."""
    line, _, entries = content.partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=Header) if checksum_matches(line) else None
    except msgspec.DecodeError:
        header = None
    if header is not None and header.object == part.name and header.entries == entries.count(b"\n"):
        return header
    if lenient:
        return Header(part.name, 0)
    raise DamagedState(str(path / part.name), "it has changed since it was written")


def entry_lines(path: StoragePath, part: Part, content: bytes, *, lenient: bool = False) -> bytes:
    """Return the lines of an object after its header, which is checked. Version 1 wrote no header.

    Args:
        path: the run folder.
        part: the object.
        content: content of the object.
        lenient: ignore a header that cannot be read.

    Raises:
        DamagedState: lines are missing, or the object was written under another name.
    """
    if not part.writer:
        return content
    _header(path, part, content, lenient=lenient)
    return content.partition(b"\n")[2]


def _acknowledged(path: StoragePath, content: bytes, *, lenient: bool) -> Mapping[str, int]:
    """Return the last number of each session that the first object names; nothing if version 1 wrote it."""
    first, _, line = content.removesuffix(b"\n").partition(b"\n")
    if not content or (first == CREATED and not line):
        return {}
    try:
        if first == CREATED and checksum_matches(line):
            return msgspec.json.decode(line, type=Acknowledged).acknowledged
    except msgspec.DecodeError:
        pass
    if lenient:
        return {}
    raise DamagedState(str(path / FIRST_OBJECT), "it has changed since it was written")


def first_object(acknowledged: Mapping[str, int]) -> bytes:
    """Return the content of the first object."""
    return b"\n".join((CREATED, with_checksum(msgspec.json.encode(Acknowledged(acknowledged))), b""))
