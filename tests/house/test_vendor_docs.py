"""The vendors' page and matrix are written from the vendors' own tables."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from airflow_provider_segexport.vendors.registry import VENDORS

REPO = Path(__file__).resolve().parents[2]


def test_the_committed_page_and_matrix_are_current() -> None:
    """A change to a field or a limit shows in docs/vendors.md and docs/vendors.csv."""
    command = [sys.executable, str(REPO / "scripts" / "vendor_matrix.py"), "--check"]
    environment = os.environ | {"PYTHONPATH": str(REPO)}  # this checkout, and not another one that is installed
    script = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (script.returncode, script.stdout) == (0, ""), script.stderr


def test_an_answer_of_a_real_account_names_the_account_and_the_date(monkeypatch, tmp_path) -> None:
    """The page no longer says then that nothing is proven; an answer that no question has is refused."""
    monkeypatch.syspath_prepend(str(REPO / "scripts"))
    script = importlib.import_module("vendor_matrix")
    entry = {"vendor": "omnisend", "question": "tags_on_upsert", "answer": "merge", "by": "ACME", "on": "2026-12-01"}
    notes = tomllib.loads((REPO / "docs" / "vendor-notes.toml").read_text())
    monkeypatch.setattr(script, "DOCS", tmp_path)

    def page(answer: str) -> str:
        lines = [
            f"{key} = {value!r}" for key, value in {**entry, "answer": answer, "provider_version": "0.2.0"}.items()
        ]
        (tmp_path / "vendor-proofs.toml").write_text("\n".join(["[[proof]]", *lines]))
        return str(script.page(notes))

    rows = [line for line in page("merge").splitlines() if "*proven* `merge` by ACME, 2026-12-01" in line]
    assert [row.split(" | ")[0] for row in rows] == ["| `tags_on_upsert`"]
    assert "No real account has been probed yet" not in page("merge")
    with pytest.raises(SystemExit, match="this proof cannot be used"):
        page("sometimes")


def test_every_vendor_has_its_notes() -> None:
    """Every vendor's notes have the same keys."""
    notes = tomllib.loads((REPO / "docs" / "vendor-notes.toml").read_text())
    assert sorted(notes) == sorted(VENDORS)
    keys = {"audience", "leavers", "login", "lost", "never", "opted_out", "optouts", "questions", "returning", "sends"}
    assert {name: set(note) for name, note in notes.items()} == dict.fromkeys(VENDORS, keys)
