"""Known vulnerabilities of the pinned dependencies: `requirements/*.txt -> report`.

Usage: python scripts/audit.py PIP_AUDIT REQUIREMENTS...

Ends with 1 if a pinned version has a known vulnerability. If the database cannot be reached, it says so and ends
with 0, because the licences can be checked all the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

LONGEST_S = 300.0
"""Seconds for one file of requirements: hundreds of look-ups over a slow line."""

OPTIONS = ("--format", "json", "--progress-spinner", "off", "--disable-pip", "--require-hashes")


def main() -> int:
    """Audit each file; 1 if one of them has a vulnerable version."""
    tool, *files = sys.argv[1:]
    vulnerable = False
    for name in files:
        report = _report(tool, name)
        if report is not None:
            vulnerable |= _tell(name, report)
    return int(vulnerable)


def _report(tool: str, name: str) -> list[dict[str, Any]] | None:
    """What pip-audit says of each dependency; None if its data cannot be had."""
    command = [tool, *OPTIONS, "--requirement", name]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        print(f"NOT AUDITED: {name}: no answer from the vulnerability database within {LONGEST_S:.0f} s.")
        return None
    try:
        dependencies: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (ended.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"NOT AUDITED: {name}: the vulnerability database cannot be had ({last[:200]}).")
        return None
    return dependencies


def _tell(name: str, dependencies: list[dict[str, Any]]) -> bool:
    """Print what was found; whether there is any vulnerability."""
    if not dependencies:
        return False
    found = [(one, vulnerability) for one in dependencies for vulnerability in one.get("vulns", ())]
    for one, vulnerability in found:
        fixed = ", ".join(vulnerability.get("fix_versions", ())) or "no version"
        print(f"VULNERABLE: {one['name']} {one['version']}: {vulnerability['id']}, fixed in {fixed}.")
    skipped = [one for one in dependencies if "skip_reason" in one]
    if len(skipped) == len(dependencies):
        print(f"NOT AUDITED: {name}: the vulnerability database cannot be had ({skipped[0]['skip_reason'][:200]}).")
        return False
    for one in skipped:
        print(f"NOT AUDITED: {one['name']}: {one['skip_reason']}")
    print(f"{name}: {len(dependencies) - len(skipped)} packages, {len(found)} known vulnerabilities.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
