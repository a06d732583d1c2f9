"""Writes the bill of materials of the provider's dependencies, and their licences.

Usage: python scripts/licences.py SBOM_VENV CLEAN_VENV OUTPUT_FOLDER

Writes `sbom.cdx.json` (CycloneDX, by cyclonedx-py) and `licences.csv`. Exits with 1 if a dependency has no licence, or
one that is not in `ACCEPTED`.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ACCEPTED = {
    "0BSD",
    "Apache-2.0",
    "Artistic-1.0-Perl",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CNRI-Python",
    "HPND",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
    "Python-2.0",
    "Unlicense",
    "Zlib",
    "ZPL-2.1",
}
"""Licences that do not apply to a program which imports the package. MPL requires the publication of changes to the
package's own files."""

SPDX_BY_TEXT = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
"""SPDX id by the licence text of package metadata without an SPDX expression."""

BY_HAND = {
    "protobuf": "BSD-3-Clause",  # its metadata has "3-Clause BSD License"; the file LICENSE in its wheel is that text
    "text-unidecode": "Artistic-1.0-Perl OR GPL-2.0-or-later",  # its README: "You can use it under either"
}
"""Licences that the bill of materials lacks, or lists without saying that a user may choose; read 2026-11."""


def licences(component: dict[str, Any]) -> list[str]:
    """Return the licences of a component, as SPDX ids or expressions if possible."""
    if component["name"] in BY_HAND:
        return [BY_HAND[component["name"]]]
    names = []
    for entry in component.get("licenses", []):
        licence = entry.get("license", {})
        text = entry.get("expression") or licence.get("id") or licence.get("name") or ""
        name = text.removeprefix("License :: ").removeprefix("OSI Approved :: ").strip()
        names.append(SPDX_BY_TEXT.get(name.lower(), name))
    spdx = [name for name in names if all(part in ACCEPTED for part in parts(name))]
    return sorted(set(spdx or names))


def parts(expression: str) -> Iterator[str]:
    """Yield the licences in an SPDX expression."""
    yield from filter(None, re.split(r"[\s()]+|\bAND\b|\bOR\b", expression))


def is_accepted(component: dict[str, Any]) -> bool:
    """Return whether all parts of one of the component's alternative licences are in `ACCEPTED`.

    An expression with parentheses, such as `(MIT OR ISC) AND X`, counts as a single alternative.
    """
    choices = [
        choice for licence in licences(component) for choice in ([licence] if "(" in licence else licence.split(" OR "))
    ]
    return any(all(part in ACCEPTED for part in parts(choice)) for choice in choices)


def main() -> int:
    """Write both files; return 0 if every licence is in the list."""
    sbom_venv, clean, folder = map(Path, sys.argv[1:4])
    sbom = folder / "sbom.cdx.json"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "0")}
    command = [
        sbom_venv / "bin" / "cyclonedx-py",
        "environment",
        "--pyproject",
        "pyproject.toml",
        "--mc-type",
        "library",
    ]
    options = [
        "--output-reproducible",
        "--sv",
        "1.6",
        "--of",
        "JSON",
        "--validate",
        "-o",
        sbom,
        clean / "bin" / "python",
    ]
    subprocess.run([*map(str, command), *map(str, options)], check=True, env=environment)  # noqa: S603 - our own environment
    components = sorted(
        json.loads(sbom.read_text())["components"], key=lambda component: str(component["name"]).lower()
    )
    with (folder / "licences.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["package", "version", "licence"])
        table.writerows([part["name"], part["version"], " / ".join(licences(part))] for part in components)
    unknown = [part for part in components if not is_accepted(part)]
    for part in unknown:
        print(f"WRONG: {part['name']} {part['version']}: {' / '.join(licences(part)) or 'no licence in its metadata'}")
    if not unknown:
        print(f"{len(components)} packages, all under licences of the list: {sbom}, {folder / 'licences.csv'}.")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
