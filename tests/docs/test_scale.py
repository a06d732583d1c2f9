"""The page on growth: its table is what the simulation gives with the vendors' limits as they are."""

from __future__ import annotations

import subprocess
import sys

from docs.pages import REPO


def test_the_table_is_current():
    """A change of a vendor's limits shows in docs/scale.md."""
    command = [sys.executable, str(REPO / "scripts" / "scale.py"), "--check"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stdout)
