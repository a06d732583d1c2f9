"""Writes docs/vendors.md and docs/vendors.csv from the vendors' own tables and docs/vendor-notes.toml.

Usage: python scripts/vendor_matrix.py [--check]
"""

from __future__ import annotations

import csv
import io
import sys
import tomllib
from pathlib import Path
from typing import Any

from airflow_provider_segexport.contract import FIELDS, FieldRule, Limits, Vendor
from airflow_provider_segexport.vendors import VENDORS

DOCS = Path(__file__).resolve().parent.parent / "docs"

INTRODUCTION = (
    "Each vendor's fields and limits as exports keep them, what happens to people who have opted out, and what an "
    "export never does.\n"
)


def where(rule: FieldRule) -> str:
    """Where a field goes, in a few words."""
    words = f"`{rule.key}`"
    more = [
        "custom field" if rule.custom else "",
        "joined" if rule.joined else "",
        f"{rule.wants.replace('_', ' ')}" if rule.wants != "text" else "",
        f"at most {rule.max_chars} characters" if rule.max_chars else "",
        "left out where it does not fit" if rule.omit_misfit else "",
    ]
    found = ", ".join(word for word in more if word)
    return f"{words} ({found})" if found else words


def cell(vendor: Vendor, neutral: str) -> str:
    """Where a neutral field goes at a vendor; a dash where it does not."""
    return " and ".join(where(rule) for rule in vendor.fields if rule.field == neutral) or "-"


def limits(found: Limits) -> list[tuple[str, str]]:
    """The vendor's limits as an export keeps them."""
    rates = ", ".join(f"{rate.calls:,} in {rate.seconds:g} s" for rate in found.rates)
    return [
        ("profiles a call", f"{found.batch_rows:,}"),
        ("bytes a call", f"{found.batch_bytes:,}"),
        ("calls at a time", str(found.connections)),
        ("import jobs at a time", f"{found.jobs:,}" if found.jobs else "answers at once"),
        ("calls an account", rates or "what the vendor's answers say"),
        ("seconds until a call times out", f"{found.timeout_s:g}"),
    ]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page(notes: dict[str, Any]) -> str:
    """The whole page."""
    vendors = list(VENDORS.values())
    parts = [
        "# Vendors\n",
        "<!-- Written by scripts/vendor_matrix.py; the same as a table of cells: vendors.csv. -->\n",
        INTRODUCTION,
        "## Where the fields go\n",
        table(
            ["field", *(vendor.title for vendor in vendors)],
            [[f"`{neutral}`", *(cell(vendor, neutral) for vendor in vendors)] for neutral in FIELDS],
        ),
        "Anything else travels as a custom field, by the vendor's name of it.\n",
        "## Limits\n",
        table(
            ["", *(vendor.title for vendor in vendors)],
            [
                [name, *(dict(limits(vendor.limits))[name] for vendor in vendors)]
                for name, _ in limits(vendors[0].limits)
            ],
        ),
    ]
    for vendor in vendors:
        told = notes[vendor.name]
        characters = f"Values of custom fields: at most {vendor.max_custom_chars} characters. "
        parts += [
            f"## {vendor.title}\n",
            f"- **Audience**: {told['audience']}\n- **Sign-in**: {told['sign_in']}\n- **Sends**: {told['sends']}\n"
            f"- **People who have opted out**: {told['opted_out']}\n"
            f"- **Never**: {'; '.join(told['never'])}.\n"
            f"- **Custom fields**: names have {vendor.custom_name_hint}. "
            + (characters if vendor.max_custom_chars else "")
            + ("They come into being when they are first sent." if vendor.free_fields else "They are checked first.")
            + "\n",
            "Open questions, and what is assumed:\n",
            "".join(f"- {question}\n" for question in told["questions"]),
        ]
    return "\n".join(parts)


def cells() -> str:
    """The tables as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["vendor", "kind", "name", "value"])
    for vendor in VENDORS.values():
        writer.writerows([vendor.name, "field", neutral, cell(vendor, neutral).replace("`", "")] for neutral in FIELDS)
        writer.writerows([vendor.name, "limit", name, value] for name, value in limits(vendor.limits))
    return out.getvalue()


def main() -> int:
    """Write both files, or with --check tell whether they are current."""
    notes = tomllib.loads((DOCS / "vendor-notes.toml").read_text(encoding="utf-8"))
    made = {DOCS / "vendors.md": page(notes), DOCS / "vendors.csv": cells()}
    stale = [path.name for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        if stale:
            print(f"Not current: {', '.join(stale)}. Run python scripts/vendor_matrix.py.")
        return 1 if stale else 0
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
