"""Turns the user's paths into a list of literal Parquet files. Every reader of user data goes through `find_files`.

A path names a file or a folder. A segment of it with `*`, `?` or `[…]` is a pattern, unless a file or folder has
exactly that name. A folder means all Parquet files in it and below, recognised by their names or first bytes. Any other
file in it is rejected, unless it is a known marker.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files import commit_markers, patterns
from airflow_provider_segexport.segment_files.same_names import check_distinct, check_not_folders
from airflow_provider_segexport.segment_files.snapshots import is_table
from airflow_provider_segexport.segment_files.table_folders import check_no_table_above, check_no_tables, folder_key
from airflow_provider_segexport.storage.errors import translate_listing_error
from airflow_provider_segexport.storage.file_url import local_text
from airflow_provider_segexport.storage.listing import Entry, display_path, find_entry, first_bytes, list_entries, walk
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath

log = logging.getLogger(__name__)

CODEC = r"(\.(snappy|gz|gzip|zst|zstd|lz4|br|brotli|uncompressed))?"
PARQUET_SUFFIX = re.compile(rf"{CODEC}\.(parquet|parq|pq){CODEC}$", re.IGNORECASE)
PARQUET_NAME = re.compile(rf".*\.(parquet|parq|pq){CODEC}", re.IGNORECASE | re.DOTALL)
MAGIC = (b"PAR1", b"PARE")
"""The first bytes of a Parquet file; `PARE` if its footer is encrypted, which `footers` reports."""

MARKER_NAME = re.compile(r".*\.crc|.*_\$folder\$|Thumbs\.db|desktop\.ini", re.IGNORECASE | re.DOTALL)
"""Names of files that writers and file managers leave beside data. Names that begin with `_` or `.`, such as
`_SUCCESS`, are ignored as well."""

STALE_NAME = re.compile(
    r".*(~|\.(part|download|copy)"
    r"|\.(te?mp|partial|filepart|in-?progress|incomplete|crdownload|opdownload|_copying_|bak|backup|old|orig|sw[op])"
    r"([-._][0-9a-f-]+|\d+)?"
    r"|\((another )?copy( \d+)?\)|\(\d+\w\w copy\)| - copy( ?\(\d+\))?| copy( \d+)?|\.(parquet|parq|pq)(\.\w+)?\.\d+)"
    r"|copy of .*",
    re.IGNORECASE | re.DOTALL,
)
"""Names of unfinished files and of earlier versions, as writers, browsers, editors and file managers give them."""

NUMBERED = re.compile(r"(.+?) ?\(\d+\)", re.DOTALL)
"""Name of a second download or copy, without its Parquet suffix: `people (1)`. The first one has the name before it."""

MAX_NAMES_SHOWN = 5
"""File names that an error shows."""

NO_FILE_HINT = (
    "To fix: check the path, that the task that writes there has run, and that it writes where this worker reads: to "
    "object storage, or to a disk that both mount."
)


@dataclass(slots=True)
class _Search:
    """Searches for the files that one text names.

    Attributes:
        text: a path, folder or pattern.
        pattern: the segments of the text from the first one that may be a pattern.
        checked_folders: keys of the folders that were checked and are not tables (`folder_key`).
        rejected: reason by the name of each file that cannot be read.
        not_current: reason by the segments of the path of each file that a job has replaced or not committed.
    """

    text: str
    pattern: Sequence[str] = ()
    checked_folders: set[str] = field(default_factory=set)
    rejected: dict[str, str] = field(default_factory=dict)
    not_current: dict[tuple[str, ...], str] = field(default_factory=dict)

    def run(self, resolve: PathResolver) -> list[Entry]:
        """Return the files, sorted by path."""
        base, pattern = patterns.split_pattern(local_text(self.text) or self.text)
        self.pattern = pattern
        start = find_entry(resolve(base))
        if start is None and not pattern:
            raise InvalidSegment(f"{self.text} does not exist. {NO_FILE_HINT}")
        entries = [] if start is None else list(self._walk(start, pattern))
        self._reject_numbered_copies(entries)
        self._raise_if_rejected()
        check_not_folders([entry for entry in entries if not entry.parts])
        check_no_table_above([entry.path for entry in entries], self.checked_folders)
        return entries

    def _walk(self, entry: Entry, pattern: Sequence[str]) -> Iterator[Entry]:
        if not pattern:
            yield from self._named(entry)
        elif entry.kind != "folder":
            return
        elif pattern[0] == patterns.ANY_DEPTH:
            yield from self._below(entry, pattern)
        elif not patterns.has_wildcard(pattern[0]):
            child = find_entry(entry.path / pattern[0], (*entry.parts, pattern[0]))
            if child is not None:
                check_not_folders([child])
                yield from self._walk(child, pattern[1:])
        else:
            for child in self._matching(entry, pattern[0]):
                yield from self._walk(child, pattern[1:])

    def _matching(self, folder: Entry, part: str) -> list[Entry]:
        """Return the entries with exactly this name; if there are none, those that match it as a pattern."""
        entries = list_entries(folder)
        check_distinct(entries)
        self._check_current(folder, entries)
        exact = [entry for entry in entries if entry.name == part]
        if exact:
            log.warning("Using a name with wildcards literally, because it exists (name=%r)", part)
        return exact or [entry for entry in entries if patterns.matches(entry.name, part)]

    def _named(self, entry: Entry) -> Iterator[Entry]:
        """Yield the files of an entry that the user named in full, or that a pattern matched."""
        if entry.kind == "folder":
            yield from self._below(entry, ())
        elif entry.kind == "other":
            self.rejected[display_path(entry.path)] = "not a regular file"
        elif not entry.parts:
            yield entry  # named in full, so any name is allowed; its footer shows whether it is Parquet
        else:
            yield from self._parquet([entry])

    def _below(self, folder: Entry, pattern: Sequence[str]) -> Iterator[Entry]:
        """Yield the Parquet files in a folder and below that match a pattern; all of them if it is empty."""
        allowed = [part for part in pattern if patterns.is_hidden(part)]
        depth = len(folder.parts)
        entries = list(walk(folder, _walked_names(allowed)))
        relative = [entry.parts[depth:] for entry in entries]
        check_distinct(entries)
        self._check(folder, entries)
        yield from self._parquet(
            [
                entry
                for entry, parts in zip(entries, relative, strict=True)
                if entry.kind != "folder" and patterns.matches_path(parts, pattern)
            ]
        )

    def _check(self, folder: Entry, entries: Sequence[Entry]) -> None:
        """Reject tables among the listed entries, and remember files that are not current."""
        folder_depth, base = len(folder.parts), folder_key(folder.path)
        self._check_current(folder, entries)
        self.checked_folders.add(base)
        for folders in {entry.parts[folder_depth:-1] for entry in entries}:
            paths = ("/".join([base, *folders[:depth]]) for depth in range(1, len(folders) + 1))
            self.checked_folders.update(paths)

    def _check_current(self, folder: Entry, entries: Sequence[Entry]) -> None:
        """Reject tables and unfinished jobs among the entries of a folder, and remember files that are not current."""
        relative = [_relative_to(entry, len(folder.parts)) for entry in entries]
        check_no_tables(folder.path, relative)
        commit_markers.check_no_job(folder.path, relative, self.pattern)
        self.not_current |= commit_markers.not_current(entries)

    def _parquet(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Yield the Parquet files, and record files that are neither Parquet nor markers."""
        files = [entry for entry in entries if not MARKER_NAME.fullmatch(entry.name)]
        unnamed = [entry for entry in files if entry.kind == "file" and not PARQUET_NAME.fullmatch(entry.name)]
        unnamed = [entry for entry in unnamed if entry.size]
        magic = dict(zip([id(entry) for entry in unnamed], first_bytes(unnamed, len(MAGIC[0])), strict=True))
        for entry in files:
            if entry.kind == "other":
                self.rejected[display_path(entry.path)] = "not a regular file"
            elif any(_is_stale(name) and not self._is_meant(name) for name in entry.parts):
                self.rejected[display_path(entry.path)] = "unfinished or an earlier copy, by its name"
            elif entry.parts in self.not_current:
                self.rejected[display_path(entry.path)] = self.not_current[entry.parts]
            elif PARQUET_NAME.fullmatch(entry.name) or magic.get(id(entry)) in MAGIC:
                yield entry
            else:
                self.rejected[display_path(entry.path)] = "not Parquet" if entry.size else "empty"

    def _reject_numbered_copies(self, entries: Sequence[Entry]) -> None:
        """Reject a file beside its first version, because one of the two holds rows that the other has not."""
        present = {entry.parts for entry in entries}
        for entry in entries:
            first = _first_name(entry.name)
            if (*entry.parts[:-1], first) in present:
                self.rejected[display_path(entry.path)] = f"by its name another version of {first}"

    def _is_meant(self, name: str) -> bool:
        """Return whether the user's pattern asks for such names, as `*.bak` does."""
        return any(_is_stale(part) and patterns.matches(name, part) for part in self.pattern)

    def _raise_if_rejected(self) -> None:
        if not self.rejected:
            return
        first = ", ".join(f"{name} ({reason})" for name, reason in list(self.rejected.items())[:MAX_NAMES_SHOWN])
        more = f" and {len(self.rejected) - MAX_NAMES_SHOWN} more" if len(self.rejected) > MAX_NAMES_SHOWN else ""
        vacuum = " (`VACUUM` removes those of Databricks)" if self.not_current else ""
        raise InvalidSegment(
            f"Not every file of {self.text} can be read: {first}{more}. No file is skipped silently, because its "
            f"rows would be missing. To fix: remove these files{vacuum}, or name the Parquet files with a pattern "
            "such as 'folder/*.parquet'. To read a file despite its name, name it in full."
        )


def _walked_names(allowed: Sequence[str]) -> Callable[[str], bool]:
    """Return a test of whether a folder is walked: a hidden folder only if the user's pattern names it."""
    return lambda name: not patterns.is_hidden(name) or any(patterns.matches(name, part) for part in allowed)


def _is_stale(name: str) -> bool:
    """Return whether a name, with or without its Parquet suffix, is that of an unfinished file or earlier version."""
    if "=" in name:  # a partition's value
        return False
    return any(STALE_NAME.fullmatch(part) for part in (name, PARQUET_SUFFIX.sub("", name)))


def _first_name(name: str) -> str:
    """Return the name of the file of which a file is a numbered copy, by its name; empty if it is none."""
    suffix = PARQUET_SUFFIX.search(name)
    stem = name[: suffix.start()] if suffix else name
    match = NUMBERED.fullmatch(stem)
    return match[1] + name[len(stem) :] if match else ""


def _relative_to(entry: Entry, depth: int) -> Entry:
    """Return the same entry with its parts relative to a folder at this depth."""
    return Entry(entry.path, entry.parts[depth:], entry.kind, entry.size, entry.identity)


Copy = Callable[[str], tuple[StoragePath, str]]
"""Takes a table, `delta:…` or `iceberg:…`, and copies its snapshot into a Parquet file. Returns the file and its name
for reports."""


def find_files(
    segment: str | Sequence[str], resolve: PathResolver, copy: Copy | None = None
) -> list[tuple[StoragePath, str]]:
    """Return the Parquet files that a path, a folder, a pattern or a list of them names.

    Each file is returned once, also if it is named twice. The order is that of the list, and by path below a folder.

    Args:
        segment: the user's path, folder, pattern, table, or list of them.
        resolve: turns a text into a path.
        copy: copies a table's snapshot; None if tables are not allowed.

    Returns:
        Each file with its name for reports.

    Raises:
        InvalidSegment: a path does not exist, or holds something that is not plain Parquet.
        RetryableError: the disk or the store failed; a retry may succeed.
    """
    texts = [segment] if isinstance(segment, str) else list(segment)
    if not texts or not all(text.strip() for text in texts):
        raise InvalidSegment(
            "No segment is named. To fix: pass a path, a list of paths, a folder or a pattern as `segment`."
        )
    files: dict[object, tuple[StoragePath, str]] = {}
    for text in texts:
        if is_table(text.strip()) and copy is not None:
            with _translate_errors(text):
                files.setdefault(text.strip(), copy(text.strip()))
            continue
        with _translate_errors(text):
            entries = _Search(text.strip()).run(resolve)
        if not entries:
            raise InvalidSegment(f"{text} holds no Parquet file. {NO_FILE_HINT}")
        for entry in entries:
            files.setdefault(entry.identity, (entry.path, display_path(entry.path)))
    return list(files.values())


@contextmanager
def _translate_errors(text: str) -> Iterator[None]:
    """Turn errors into InvalidSegment for a path that cannot be read, or RetryableError for a failing disk or store."""
    try:
        yield
    except OSError as error:
        raise translate_listing_error(error, text) from None
