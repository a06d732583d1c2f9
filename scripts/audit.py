"""Reports known vulnerabilities of the pinned dependencies.

Usage: python scripts/audit.py PIP_AUDIT REQUIREMENTS...

Exits with 1 if a pinned version has a known vulnerability. If pip-audit gives no result, usually because the database
cannot be reached, the script prints NOT AUDITED and exits with 0, so that `make audit` still checks the licences.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

TIMEOUT_S = 300.0
"""Seconds for one requirements file: hundreds of look-ups over a slow connection."""

OPTIONS = ("--format", "json", "--progress-spinner", "off", "--disable-pip", "--require-hashes")


def main() -> int:
    """Audit each file; return 1 if one of them has a vulnerable version."""
    tool, *files = sys.argv[1:]
    vulnerable = False
    for name in files:
        report = _report(tool, name)
        if report is not None:
            vulnerable |= _print_findings(name, report)
    return int(vulnerable)


def _report(tool: str, name: str) -> list[dict[str, Any]] | None:
    """Return pip-audit's result for each dependency; None if it gives none."""
    command = [tool, *OPTIONS, "--requirement", name]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        print(f"NOT AUDITED: {name}: no answer from the vulnerability database within {TIMEOUT_S:.0f} s.")
        return None
    try:
        dependencies: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (ended.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"NOT AUDITED: {name}: pip-audit gave no result, as if its database cannot be reached ({last[:200]}).")
        return None
    return dependencies


def _print_findings(name: str, dependencies: list[dict[str, Any]]) -> bool:
    """Print the vulnerabilities; return whether there are any."""
    if not dependencies:
        return False
    findings = [(package, vulnerability) for package in dependencies for vulnerability in package.get("vulns", ())]
    for package, vulnerability in findings:
        fixed = ", ".join(vulnerability.get("fix_versions", ())) or "no version"
        print(f"VULNERABLE: {package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}.")
    skipped = [package for package in dependencies if "skip_reason" in package]
    if len(skipped) == len(dependencies):
        print(f"NOT AUDITED: {name}: the vulnerability database cannot be reached ({skipped[0]['skip_reason'][:200]}).")
        return False
    for package in skipped:
        print(f"NOT AUDITED: {package['name']}: {package['skip_reason']}")
    print(f"{name}: {len(dependencies) - len(skipped)} packages, {len(findings)} known vulnerabilities.")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
