"""The vendors' page and matrix are written from the vendors' own tables."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from airflow_provider_segexport.vendors.registry import VENDORS

REPO = Path(__file__).resolve().parents[2]


def test_the_committed_page_and_matrix_are_current() -> None:
    """A change to a field or a limit shows in docs/vendors.md and docs/vendors.csv."""
    command = [sys.executable, str(REPO / "scripts" / "vendor_matrix.py"), "--check"]
    environment = os.environ | {"PYTHONPATH": str(REPO)}  # this checkout, and not another one that is installed
    script = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (script.returncode, script.stdout) == (0, ""), script.stderr


def test_every_vendor_has_its_notes() -> None:
    """Every vendor's notes have the same keys."""
    notes = tomllib.loads((REPO / "docs" / "vendor-notes.toml").read_text())
    assert sorted(notes) == sorted(VENDORS)
    keys = {"audience", "leavers", "login", "lost", "never", "opted_out", "optouts", "questions", "returning", "sends"}
    assert {name: set(note) for name, note in notes.items()} == dict.fromkeys(VENDORS, keys)
