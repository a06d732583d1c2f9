"""Runs the tests on each supported Airflow and Python that this machine has.

Usage: python scripts/matrix.py [--rows 3.2-3.11,3.3-3.13] [pytest arguments]

The rows of Airflow 3.2 have the oldest allowed version of every dependency (requirements/floor.txt), those of Airflow
3.3 the versions of development (requirements/dev.txt). Environments are stored in .matrix. Without `--rows`, a row is
skipped if this machine lacks its Python; a row in `--rows` then fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
HOME = CHECKOUT / ".matrix"
UV = Path(sys.executable).parent / "uv"
PYTHONS = ("3.11", "3.12", "3.13")
AIRFLOWS = {"3.2": "floor", "3.3": "dev"}
"""File of pins in `requirements/` by version of Airflow."""

TESTS = ("tests/core", "tests/hooks", "tests/vendors", "tests/wire", "tests/airflow", "tests/dags", "tests/ui")
"""Tests that depend on Airflow, Python or a dependency."""


@dataclass(frozen=True)
class Row:
    """One combination of Airflow and Python."""

    airflow: str
    python: str

    @property
    def name(self) -> str:
        """Name of the row in `--rows`."""
        return f"{self.airflow}-{self.python}"


def interpreters() -> Iterator[Path]:
    """Yield paths of possible Python interpreters: on the path, and among pyenv's versions."""
    yield from (Path(path) for version in PYTHONS if (path := shutil.which(f"python{version}")))
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
        yield from sorted(Path(root).glob("versions/*/bin/python"), reverse=True)


def version(python: Path) -> str:
    """Return the version of a Python; an empty string if it does not run."""
    command = [str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - an interpreter
    return done.stdout.strip() if done.returncode == 0 else ""


def pythons() -> dict[str, Path]:
    """Return the first interpreter of each Python version."""
    paths: dict[str, Path] = {}
    for python in interpreters():
        paths.setdefault(version(python), python)
    return paths


def environment(row: Row, python: Path) -> Path:
    """Return the Python of the row's environment; create the environment if its pins have changed."""
    venv, pins = HOME / row.name, CHECKOUT / "requirements" / f"{AIRFLOWS[row.airflow]}.txt"
    ready = venv / ".ready"
    if not ready.exists() or ready.stat().st_mtime < pins.stat().st_mtime:
        shutil.rmtree(venv, ignore_errors=True)
        _run(UV, "venv", "--quiet", "--python", python, venv)
        _run(UV, "pip", "install", "--quiet", "--python", venv / "bin" / "python", "--require-hashes", "-r", pins)
        install = (UV, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", CHECKOUT)
        _run(*install, "--python", venv / "bin" / "python")
        ready.touch()
    return venv / "bin" / "python"


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, env={**os.environ, "VIRTUAL_ENV": ""})  # noqa: S603


def main() -> int:
    """Run every row; return 0 if none failed, and 1 if one failed or no row ran."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="", help="such as 3.2-3.11,3.3-3.13; by default all")
    arguments, pytest_arguments = parser.parse_known_args()
    rows = {row.name: row for row in (Row(airflow, python) for airflow in AIRFLOWS for python in PYTHONS)}
    names = arguments.rows.split(",") if arguments.rows else list(rows)
    if unknown := set(names) - set(rows):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are: {', '.join(rows)}")
    available, lines, failed = pythons(), [], False
    for row in (rows[name] for name in names):
        if row.python not in available:
            status = "FAILED" if arguments.rows else "skipped"
            lines.append(f"Airflow {row.airflow}  Python {row.python}  {status}: this machine has no such Python")
            failed = failed or bool(arguments.rows)
            continue
        started = time.monotonic()
        python = environment(row, available[row.python])
        command = [str(python), "-m", "pytest", "-n", "auto", *(pytest_arguments or TESTS)]
        done = subprocess.run(  # noqa: S603 - our own tests
            command,
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
        )
        (HOME / f"{row.name}.log").write_text(done.stdout + done.stderr)
        result_lines = re.findall(r"^=*\s*(\d+ (?:passed|failed|error).*? in .*?)\s*=*$", done.stdout, re.MULTILINE)
        last = result_lines[-1] if result_lines else "no test ran"
        failed = failed or done.returncode != 0
        status = "passed" if done.returncode == 0 else f"FAILED, see .matrix/{row.name}.log"
        seconds = time.monotonic() - started
        lines.append(f"Airflow {row.airflow}  Python {row.python}  {status}: {last} ({seconds:.0f} s)")
        print(lines[-1], flush=True)
    print("\n".join(["", *lines]))
    return 1 if failed or not any(row.python in available for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
