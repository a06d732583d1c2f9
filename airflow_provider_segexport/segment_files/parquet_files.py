"""Turns what the user wrote into a list of literal Parquet files. Every reader of user data goes through `find`.

A path names a file or a folder. A part of it with `*`, `?` or `[…]` is a pattern, unless a file or folder has exactly
that name. A folder stands for all Parquet files in it and below, known by their names or by their first bytes; whatever
else lies in it and is no known marker is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files import patterns
from airflow_provider_segexport.segment_files.snapshots import is_table
from airflow_provider_segexport.segment_files.table_folders import check_above, check_names, key
from airflow_provider_segexport.storage.errors import listing
from airflow_provider_segexport.storage.listing import Entry, heads, listed, look, shown, tree
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath

log = logging.getLogger(__name__)

CODEC = r"(\.(snappy|gz|gzip|zst|zstd|lz4|br|brotli|uncompressed))?"
ENDING = re.compile(rf"{CODEC}\.(parquet|parq|pq){CODEC}$", re.IGNORECASE)
PARQUET = re.compile(rf".*\.(parquet|parq|pq){CODEC}", re.IGNORECASE | re.DOTALL)
MAGIC = (b"PAR1", b"PARE")
"""How a Parquet file begins; `PARE` if its footer is encrypted, which the reader of footers reports."""

MARKER = re.compile(r".*\.crc|.*_\$folder\$|Thumbs\.db|desktop\.ini", re.IGNORECASE | re.DOTALL)
"""Names that writers and file managers leave beside data; so are all that begin with `_` or `.`, such as `_SUCCESS`."""

STALE = re.compile(
    r".*(~|\.(part|download|copy)"
    r"|\.(te?mp|partial|filepart|in-?progress|incomplete|crdownload|opdownload|_copying_|bak|backup|old|orig|sw[op])"
    r"([-._][0-9a-f-]+|\d+)?"
    r"|\((another )?copy( \d+)?\)|\(\d+\w\w copy\)| - copy( ?\(\d+\))?| copy( \d+)?|\.(parquet|parq|pq)(\.\w+)?\.\d+)"
    r"|copy of .*",
    re.IGNORECASE | re.DOTALL,
)
"""Names of what is not finished, or of an earlier state: by writers, browsers, editors and file managers."""

NAMED = 5
"""Names in an error about files that are not read."""


@dataclass(slots=True)
class _Search:
    """Files that one text stands for.

    Attributes:
        pattern: the parts of the text from the first that may be a pattern.
        clean: folders that are known to be no tables, by path.
        strange: why each file that is not read is refused, by name.
    """

    text: str
    pattern: Sequence[str] = ()
    clean: set[str] = field(default_factory=set)
    strange: dict[str, str] = field(default_factory=dict)

    def run(self, resolve: PathResolver) -> list[Entry]:
        """Return the files, sorted by path."""
        base, pattern = patterns.split(self.text)
        self.pattern = pattern
        start = look(resolve(base))
        if start is None and not pattern:
            raise InvalidSegment(f"{self.text} does not exist. Did the task that writes the segment run?")
        reached = [] if start is None else list(self._walk(start, pattern))
        self._refuse_strange()
        check_above([entry.place for entry in reached], self.clean)
        return reached

    def _walk(self, entry: Entry, pattern: Sequence[str]) -> Iterator[Entry]:
        if not pattern:
            yield from self._taken(entry)
        elif entry.kind != "folder":
            return
        elif pattern[0] == patterns.ANY_DEPTH:
            yield from self._below(entry, pattern)
        elif not patterns.wild(pattern[0]):
            child = look(entry.place / pattern[0], (*entry.parts, pattern[0]))
            if child is not None:
                yield from self._walk(child, pattern[1:])
        else:
            for child in self._matching(entry, pattern[0]):
                yield from self._walk(child, pattern[1:])

    def _matching(self, folder: Entry, part: str) -> list[Entry]:
        """Return what a part of a pattern stands for: what has exactly that name, else what matches."""
        entries = listed(folder)
        check_names(folder.place, [_below(entry, len(folder.parts)) for entry in entries])
        exact = [entry for entry in entries if entry.name == part]
        if exact:
            log.warning("taking a name with wildcards literally, because it exists (name=%r)", part)
        return exact or [entry for entry in entries if patterns.matches(entry.name, part)]

    def _taken(self, entry: Entry) -> Iterator[Entry]:
        """Yield what a name stands for that the user wrote in full, or that a pattern matched."""
        if entry.kind == "folder":
            yield from self._below(entry, ())
        elif entry.kind == "other":
            self.strange[shown(entry.place)] = "no regular file"
        elif not entry.parts:
            yield entry  # named in full: whatever it is called, its footer shows whether it is Parquet
        else:
            yield from self._parquet([entry])

    def _below(self, folder: Entry, pattern: Sequence[str]) -> Iterator[Entry]:
        """Yield the Parquet files in a folder and below that fit a pattern; all of them if it is empty."""
        allowed = [part for part in pattern if patterns.hidden(part)]
        own = len(folder.parts)
        entries = list(tree(folder, _enters(allowed)))
        relative = [entry.parts[own:] for entry in entries]
        self._check(folder, entries)
        yield from self._parquet(
            [
                entry
                for entry, parts in zip(entries, relative, strict=True)
                if entry.kind != "folder" and patterns.fits(parts, pattern)
            ]
        )

    def _check(self, folder: Entry, entries: Sequence[Entry]) -> None:
        """Refuse tables among what was listed."""
        own, base = len(folder.parts), key(folder.place)
        check_names(folder.place, [_below(entry, own) for entry in entries])
        self.clean.add(base)
        for folders in {entry.parts[own:-1] for entry in entries}:
            self.clean.update("/".join([base, *folders[:depth]]) for depth in range(1, len(folders) + 1))

    def _parquet(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Yield those that are Parquet, and note those that are neither Parquet nor markers."""
        files = [entry for entry in entries if not MARKER.fullmatch(entry.name)]
        unnamed = [entry for entry in files if entry.kind == "file" and not PARQUET.fullmatch(entry.name)]
        unnamed = [entry for entry in unnamed if entry.size]
        begin = dict(zip([id(entry) for entry in unnamed], heads(unnamed, len(MAGIC[0])), strict=True))
        for entry in files:
            if entry.kind == "other":
                self.strange[shown(entry.place)] = "no regular file"
            elif any(_stale(name) and not self._meant(name) for name in entry.parts):
                self.strange[shown(entry.place)] = "by its name not finished, or an earlier copy"
            elif PARQUET.fullmatch(entry.name) or begin.get(id(entry)) in MAGIC:
                yield entry
            else:
                self.strange[shown(entry.place)] = "no Parquet" if entry.size else "empty"

    def _meant(self, name: str) -> bool:
        """Whether a part of the user's pattern says of itself that such names are meant, as `*.bak` does."""
        return any(_stale(part) and patterns.matches(name, part) for part in self.pattern)

    def _refuse_strange(self) -> None:
        if not self.strange:
            return
        first = ", ".join(f"{name} ({why})" for name, why in list(self.strange.items())[:NAMED])
        more = f" and {len(self.strange) - NAMED} more" if len(self.strange) > NAMED else ""
        raise InvalidSegment(
            f"{self.text} holds what cannot be read: {first}{more}. Nothing is passed over silently, because the rows "
            "of a file that was left out would be missing. To fix: remove these files, or name the Parquet files "
            "by a pattern such as 'folder/*.parquet'; a file that is meant whatever its name says is named in full."
        )


def _enters(allowed: Sequence[str]) -> Callable[[str], bool]:
    """Return which folders are walked: hidden ones only if the user wrote their names."""
    return lambda name: not patterns.hidden(name) or any(patterns.matches(name, part) for part in allowed)


def _stale(name: str) -> bool:
    """Whether a name says, before or after its Parquet ending, that the file or folder is not the current one."""
    if "=" in name:  # a partition's value
        return False
    return any(STALE.fullmatch(part) for part in (name, ENDING.sub("", name)))


def _below(entry: Entry, depth: int) -> Entry:
    """Return the same entry with its parts counted from a folder further down."""
    return Entry(entry.place, entry.parts[depth:], entry.kind, entry.size, entry.identity)


Copy = Callable[[str], tuple[StoragePath, str]]
"""Copies a table's snapshot, named as `delta:…` or `iceberg:…`, into a Parquet file: the file, its name for reports."""


def find(
    segment: str | Sequence[str], resolve: PathResolver, copy: Copy | None = None
) -> list[tuple[StoragePath, str]]:
    """Return the Parquet files that a path, a folder, a pattern or a list of them names.

    Each file is returned once, also if it is reached twice, in a stable order: as listed, below a folder by path.

    Args:
        segment: what the user wrote.
        resolve: makes a place of a path.
        copy: copies a table's snapshot; None where no table may be named.

    Returns:
        Each file with its name for reports.

    Raises:
        InvalidSegment: nothing is there, or something that is no plain Parquet.
        RetryableError: a disk or store could not be listed just now.
    """
    texts = [segment] if isinstance(segment, str) else list(segment)
    if not texts or not all(text.strip() for text in texts):
        raise InvalidSegment("No segment is named: give a path, a list of paths, a folder or a glob.")
    files: dict[object, tuple[StoragePath, str]] = {}
    for text in texts:
        if is_table(text.strip()) and copy is not None:
            with _readable(text):
                files.setdefault(text.strip(), copy(text.strip()))
            continue
        with _readable(text):
            reached = _Search(text.strip()).run(resolve)
        if not reached:
            raise InvalidSegment(f"{text} holds no Parquet file. Did the task that writes the segment run?")
        for entry in reached:
            files.setdefault(entry.identity, (entry.place, shown(entry.place)))
    return list(files.values())


@contextmanager
def _readable(text: str) -> Iterator[None]:
    """Tell a path that cannot be read at all from a disk or store that fails just now."""
    try:
        yield
    except OSError as error:
        raise listing(error, text) from None
