"""Finds Chromium for the browser tests, or installs the distribution's; prints its path.

Usage: python scripts/ui_browser.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = (("apt-get", "update", "-q"), ("apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"))


def chromium() -> str | None:
    """The browser on this machine, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def main() -> int:
    """Find it, or get it, or say how."""
    if chromium() is None and shutil.which("apt-get") and os.geteuid() == 0:
        print("Chromium is not there: it is installed with apt-get.", file=sys.stderr)
        for command in INSTALL:
            subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - the distribution's own
    found = chromium()
    if found is None:
        print("The browser tests need Chromium: `apt-get install chromium`, or your distribution's.", file=sys.stderr)
        return 1
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
