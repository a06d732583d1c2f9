"""Checks the result of `make dist`: contents, metadata, a reproducible wheel, and an install that Airflow detects.

Usage: python scripts/dist_check.py DIST_FOLDER CLEAN_VENV

CLEAN_VENV holds only the pinned runtime dependencies. The script installs the wheel into it without dependencies.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

from airflow_provider_segexport.vendors.registry import VENDORS

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_provider_segexport"
UV = Path(sys.executable).parent / "uv"
IN_SDIST = (
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "docs/exports.md",
    "pyproject.toml",
    "requirements/dev.txt",
)


def tracked() -> set[str]:
    """Return the paths of the package's files that git tracks."""
    listed = subprocess.run(  # noqa: S603 - git, on our own checkout
        ["git", "ls-files", "-z", PACKAGE],  # noqa: S607
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(filter(None, listed.stdout.split("\0")))


def wheel_contents(wheel: Path) -> list[str]:
    """Return messages about missing and unexpected files in the wheel."""
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if not name.endswith("/")}
    info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
    generated = {f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    faults = [f"{wheel.name} lacks {name}" for name in sorted((tracked() | generated) - names)]
    faults += [f"{wheel.name} holds {name}" for name in sorted(names - tracked() - generated)]
    return faults


def sdist_contents(sdist: Path) -> list[str]:
    """Return messages about missing files in the source distribution."""
    with tarfile.open(sdist) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    expected = [*IN_SDIST, *tracked(), "tests/conftest.py", "tests/core/test_ledger.py"]
    return [f"{sdist.name} lacks {name}" for name in sorted(expected) if name not in names]


def metadata(wheel: Path) -> list[str]:
    """Return messages about wrong metadata."""
    with zipfile.ZipFile(wheel) as opened:
        name = next(name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        parsed = Metadata.from_email(opened.read(name), validate=True)
    fields = {
        "name": (parsed.name, "airflow-provider-segexport"),
        "version": (str(parsed.version), wheel.name.split("-")[1]),
        "license": (str(parsed.license_expression), "Apache-2.0"),
        "license files": (parsed.license_files, ["LICENSE"]),
        "description": (parsed.description_content_type, "text/markdown"),
    }
    faults = [f"{name} is {value!r}, not {right!r}" for name, (value, right) in fields.items() if value != right]
    faults += [f"no bound on {requirement}" for requirement in parsed.requires_dist or [] if not requirement.specifier]
    return faults


def not_reproducible(wheel: Path) -> list[str]:
    """Return a message if another build gives different bytes."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(  # noqa: S603 - our own environment's build
            [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder],
            cwd=CHECKOUT,
            check=True,
            capture_output=True,
        )
        rebuilt = Path(folder) / wheel.name
        is_same = rebuilt.exists() and _digest(rebuilt) == _digest(wheel)
    return [] if is_same else [f"{wheel.name} has different bytes when it is built again"]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def install_faults(wheel: Path, venv: Path) -> list[str]:
    """Return messages if the wheel does not install, or Airflow does not list the provider with all its hooks."""
    python = venv / "bin" / "python"
    _run(UV, "pip", "install", "--quiet", "--reinstall", "--no-deps", "--python", python, wheel)
    _run(UV, "pip", "check", "--quiet", "--python", python)
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": f"{venv / 'bin'}:/usr/bin:/bin",
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "HOME": home,
        }
        airflow = venv / "bin" / "airflow"
        listed = {
            provider["package_name"]: provider
            for provider in json.loads(_run(airflow, "providers", "list", "-o", "json", **environment))
        }
        hooks = {
            hook["connection_type"]
            for hook in json.loads(_run(airflow, "providers", "hooks", "-o", "json", **environment))
        }
        location = _run(python, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)", **environment).strip()
    provider = listed.get("airflow-provider-segexport", {})
    faults = []
    if provider.get("version") != wheel.name.split("-")[1]:
        faults.append(f"`airflow providers list` shows {provider or 'nothing'}")
    faults += [f"`airflow providers hooks` lacks {hook}" for hook in sorted(VENDORS.keys() - hooks)]
    if not location.startswith(str(venv)):
        faults.append(f"the package comes from {location}")
    return faults


def _run(*command: str | Path, **environment: str) -> str:
    """Run a program and return its output; exit if it fails. Without an environment it has that of this process."""
    done = subprocess.run(  # noqa: S603 - our own environments' programs
        [str(part) for part in command],
        cwd="/",
        env=environment or dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> int:
    """Check everything; return 0 if nothing is wrong."""
    folder, venv = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if (len(wheels), len(sdists)) != (1, 1):
        print(f"{folder} holds {len(wheels)} wheels and {len(sdists)} source distributions: expected one of each.")
        return 1
    wheel, sdist = wheels[0], sdists[0]
    faults = (
        wheel_contents(wheel)
        + sdist_contents(sdist)
        + metadata(wheel)
        + not_reproducible(wheel)
        + install_faults(wheel, venv)
    )
    for fault in faults:
        print(f"WRONG: {fault}")
    if not faults:
        size = wheel.stat().st_size / 1024
        print(f"{wheel.name} ({size:.0f} KiB) and {sdist.name}:")
        print("contents and metadata are correct, a second build gives the same bytes, and `airflow providers list`")
        print(f"in a clean environment shows the provider with its {len(VENDORS)} hooks.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
