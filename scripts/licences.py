"""The bill of materials of what the provider brings along, and its licences: `environments -> sbom, table`.

Usage: python scripts/licences.py SBOM_VENV CLEAN_VENV OUTPUT_FOLDER

Writes `sbom.cdx.json` (CycloneDX, by cyclonedx-py) and `licences.csv`; fails when a dependency has a licence that is
not in the list below, or tells none.
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

FREE = {
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
"""Licences that ask for no more than to be named, or (MPL) for changes to their own files."""

SPELLED = {
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
"""How package metadata without an SPDX expression says it."""

BY_HAND = {
    "protobuf": "BSD-3-Clause",  # its metadata say "3-Clause BSD License"; the file LICENSE in its wheel is that text
    "text-unidecode": "Artistic-1.0-Perl OR GPL-2.0-or-later",  # "You can use it under either", says its README
}
"""What the bill of materials does not tell, or not as the choice that it is; read 2026-11."""


def licences(component: dict[str, Any]) -> list[str]:
    """What a component says of its licence, as SPDX ids or expressions where that can be told."""
    if component["name"] in BY_HAND:
        return [BY_HAND[component["name"]]]
    found = []
    for one in component.get("licenses", []):
        licence = one.get("license", {})
        told = one.get("expression") or licence.get("id") or licence.get("name") or ""
        said = told.removeprefix("License :: ").removeprefix("OSI Approved :: ").strip()
        found.append(SPELLED.get(said.lower(), said))
    spdx = [one for one in found if all(part in FREE for part in parts(one))]
    return sorted(set(spdx or found))


def parts(expression: str) -> Iterator[str]:
    """The licences that an SPDX expression names."""
    yield from (word for word in re.split(r"[\s()]+|\bAND\b|\bOR\b", expression) if word)


def is_free(component: dict[str, Any]) -> bool:
    """Whether one of the licences that it may be used under is in the list, with all its parts."""
    choices = [choice for one in licences(component) for choice in one.split(" OR ")]
    return any(all(part in FREE for part in parts(choice)) for choice in choices)


def main() -> int:
    """Write both files; 0 when every licence is known and in the list."""
    sbom_venv, clean, folder = (Path(word) for word in sys.argv[1:4])
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
    components = sorted(json.loads(sbom.read_text())["components"], key=lambda one: str(one["name"]).lower())
    with (folder / "licences.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["package", "version", "licence"])
        table.writerows([one["name"], one["version"], " / ".join(licences(one))] for one in components)
    unknown = [one for one in components if not is_free(one)]
    for one in unknown:
        print(f"WRONG: {one['name']} {one['version']}: {' / '.join(licences(one)) or 'no licence told'}")
    if not unknown:
        print(f"{len(components)} packages, all under licences of the list: {sbom}, {folder / 'licences.csv'}.")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
