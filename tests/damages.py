"""Damage to files, generated: torn and changed bytes, other JSON, and other things under a file's name."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

DEEP = 100_000
OTHER_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 1.5, 10**400, float("nan"), float("inf"), "", "x", "\ud800", "2026-99-99", "/", "foo://bar/baz"),
    *([], {}, [1], ["a"], [[]], {"a": 1}, [{"run_folder": 5}], [{"run": "a/b/c/0", "run_folder": "no/such"}]),
)
"""Values of other types, and texts that mean nothing, for any position in a JSON text."""
OTHER_TEXTS = (
    *(
        b"",
        b"null",
        b"true",
        b"5",
        b"[]",
        b"{}",
        b'"text"',
        b"[[1,2,3]]",
        b"1e999",
        b"9" * 5000,
        b"\xff\xfe{}",
        b"\x00",
    ),
    *(b"[" * DEEP, b'{"a":' * DEEP, b"PAR1PAR1", b"\xef\xbb\xbf{}", b'{"format": 99}', b'{"a": [1, 2]}'),
)


def _positions(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(position for key, child in inner for position in _positions(child, (*path, key)))]


def _changed(value: Any, position: tuple[Any, ...], change: Callable[[Any, Any], None], to: Any) -> Any:
    if not position:
        return to
    value = copy.deepcopy(value)
    parent = value
    for key in position[:-1]:
        parent = parent[key]
    change(parent, position[-1])
    return value


@st.composite
def other_json(draw: st.DrawFn, content: Any) -> bytes:
    """A JSON text of which one to three values are gone, or of another type."""
    for _ in range(draw(st.integers(1, 3))):
        position, to = draw(st.sampled_from(_positions(content))), draw(st.sampled_from(OTHER_VALUES))

        def put(parent: Any, key: Any, to: Any = to) -> None:
            parent[key] = to

        def drop(parent: Any, key: Any) -> None:
            del parent[key]

        content = _changed(content, position, draw(st.sampled_from([put, drop])), to)
    return json.dumps(content).encode()


@st.composite
def other_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with one flipped bit, cut, or replaced."""
    kind = draw(st.sampled_from(["flip", "cut", "other"]))
    if kind == "other" or not content:
        return draw(st.sampled_from(OTHER_TEXTS) | st.binary(max_size=64))
    at = draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        return content[:at]
    return content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """Every kind of damage to the content of a file; its JSON is damaged too, if it is JSON."""
    try:
        value = json.loads(content)
    except ValueError:
        return other_bytes(content)
    return other_json(value) | other_bytes(content)


def folder(path: Path) -> None:
    """Create a folder with the file's name, and a file in it."""
    path.mkdir()
    (path / "01").write_bytes(b"{}")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("no-such-file")


def link_to_a_folder(path: Path) -> None:
    path.symlink_to(path.parent)


def pipe(path: Path) -> None:
    """Create a pipe. Opening it blocks until a writer opens it."""
    os.mkfifo(path)


def link_to_a_device(path: Path) -> None:
    """Create a link to a device. Reading it never ends."""
    path.symlink_to("/dev/zero")


NO_FILES = (folder, link_to_itself, link_to_nothing, link_to_a_folder, pipe, link_to_a_device)
"""Things that may have the name of a file. Each is called with a path that does not exist."""


def remove(path: Path) -> None:
    """Remove the file, folder, link or pipe with this name."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
