"""Prints the path of Chromium for the browser tests; installs the distribution's package if there is none.

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
    """Return the path of the browser, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    """Print the browser's path. If there is none, install Chromium as root, or print how to install it."""
    if chromium() is None and shutil.which("apt-get") and os.geteuid() == 0:
        print("Installing Chromium with apt-get ...", file=sys.stderr)
        for command in INSTALL:
            subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - the distribution's own
    path = chromium()
    if path is None:
        print("The browser tests need Chromium: `apt-get install chromium`, or your distribution's.", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
