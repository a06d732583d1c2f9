"""A process with all imports that forks a child for each attempt, so that a child can be killed or suspended.

It exchanges pickles with the tests over standard input and output. It has no open engine and no socket when it forks.
The children call the simulator in the tests' process over HTTP.
"""

from __future__ import annotations

import importlib
import mmap
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

TIME = struct.Struct("d")

FRESH_S = 0.05
"""Seconds for which a read of the store is valid: short, because a takeover in these tests takes no real time."""


class SharedClock:
    """A manual clock that several processes share."""

    def __init__(self, path: Path, start: float | None = None) -> None:
        self.path = path
        if start is not None:
            path.write_bytes(TIME.pack(start))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), TIME.size)

    def now(self) -> float:
        """Return the present moment."""
        seconds: float = TIME.unpack(self._memory[: TIME.size])[0]
        return seconds

    def advance(self, seconds: float) -> None:
        """Move the present moment forward."""
        self._memory[: TIME.size] = TIME.pack(self.now() + seconds)


@dataclass(frozen=True)
class TryRequest:
    """A child's input for one attempt of a run."""

    name: str
    home: Path
    clock: Path
    described: Mapping[str, Any]
    run: Any
    kill_switch: Any
    batch: int
    leaves: bool = False
    store: Mapping[str, Any] | None = None
    skew: float = 0.0
    shape: Mapping[str, Any] = field(default_factory=dict)
    """The stage's other fields: names of columns and folders."""


class RemoteSimulator:
    """The child's view of the simulator."""

    def __init__(self, request: TryRequest) -> None:
        self.clock = SharedClock(request.clock)
        self._described = request.described

    def describe(self) -> dict[str, Any]:
        """Return the description that the tests' process has read."""
        return {"vendors": self._described}

    def requests(self) -> list[dict[str, Any]]:
        """Return nothing: the log is read in the tests' process."""
        return []


class ForkServer:
    """The server process, which runs until the block ends."""

    def __enter__(self) -> Self:
        tests = Path(__file__).resolve().parents[1]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()  # it kills what is suspended yet
        self._process.stdout.close()
        self._process.wait(10)

    def send(self, request: TryRequest) -> tuple[int, Any]:
        """Run an attempt in a child; return the signal that ended it, or 0, and the child's record with its steps.

        For a suspended child, return SIGSTOP and its process id.
        """
        return self._ask(request)

    def go_on(self, child: int) -> tuple[int, Any]:
        """Resume a suspended child; return the same as `send`."""
        return self._ask(child)

    def _ask(self, what: TryRequest | int) -> tuple[int, Any]:
        _write(self._process.stdin, what)
        answer: tuple[int, Any] = _read(self._process.stdout)
        return answer


def _write(file: IO[bytes] | None, what: object) -> None:
    assert file
    content = pickle.dumps(what)
    file.write(struct.pack("Q", len(content)) + content)
    file.flush()


def _read(file: IO[bytes] | None) -> Any:
    assert file
    head = file.read(8)
    if len(head) < 8:
        raise EOFError
    return pickle.loads(file.read(struct.unpack("Q", head)[0]))


def go(request: TryRequest) -> tuple[Any, int]:
    """Run one attempt in this process."""
    from chaos.stage import Stage, Trouble, small  # noqa: PLC0415 - the tests' process has it already

    stage = Stage(
        RemoteSimulator(request),
        request.name,
        request.home,
        small(request.name, request.batch),
        store=request.store,
        **request.shape,
    )  # type: ignore[arg-type]
    run = replace(request.run)
    stage.runs[run.name] = run
    stage.attempt(run, Trouble(request.kill_switch, leaves=request.leaves, skew=request.skew))
    return (run.tries[-1], stage.unexpected), request.kill_switch.taken


def serve() -> None:
    """Fork a child for every request that comes in, and let suspended ones go on."""
    from chaos.stage import Stage  # noqa: F401, PLC0415 - brings everything else

    from airflow_provider_segexport import fencing  # noqa: PLC0415

    fencing.CHECK_VALID_S = FRESH_S
    imported = set(sys.modules)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of any child does not disturb the protocol
    records_of: dict[int, Path] = {}
    while True:
        try:
            message = _read(source)
        except EOFError:
            for child in records_of:
                os.kill(child, signal.SIGKILL)
            return
        child = message if isinstance(message, int) else _fork(message, imported, records_of)
        if isinstance(message, int):
            os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            _write(sink, (signal.SIGSTOP, child))
            continue
        path = records_of.pop(child)
        done, lacking = pickle.loads(path.read_bytes()) if path.exists() else (None, [])
        path.unlink(missing_ok=True)
        for name in lacking:  # import the modules here that this child had to import, for the next child
            with suppress(ImportError):
                importlib.import_module(name)
        imported |= set(lacking)
        _write(sink, (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, done))


def _fork(request: TryRequest, imported: set[str], records_of: dict[int, Path]) -> int:
    """Fork a child, which writes its record to a file."""
    path = request.home / f"records-{len(records_of)}-{time.monotonic_ns()}"
    child = os.fork()
    if not child:
        try:
            done = go(request)
            path.write_bytes(pickle.dumps((done, sorted(set(sys.modules) - imported))))
        finally:
            os._exit(0)
    records_of[child] = path
    return child


if __name__ == "__main__":
    serve()
