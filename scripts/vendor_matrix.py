"""Writes docs/vendors.md and docs/vendors.csv from the vendors' own tables and docs/vendor-notes.toml.

Usage: python scripts/vendor_matrix.py [--check]
"""

from __future__ import annotations

import csv
import io
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.vendors.base import FIELDS, FieldRule, Limits, Vendor
from airflow_provider_segexport.vendors.registry import VENDORS

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
        f"{rule.value_kind.replace('_', ' ')}" if rule.value_kind != "text" else "",
        f"at most {rule.max_chars} characters" if rule.max_chars else "",
        "left out where it does not fit" if rule.drop_invalid else "",
    ]
    found = ", ".join(word for word in more if word)
    return f"{words} ({found})" if found else words


def cell(vendor: Vendor, neutral: str) -> str:
    """Where a neutral field goes at a vendor; a dash where it does not."""
    return " and ".join(where(rule) for rule in vendor.fields if rule.field == neutral) or "-"


NOTES = ("audience", "sign_in", "sends", "opted_out", "leavers", "returning", "told", "lost")
SPANS = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day"}


def rates(found: Iterable[Rate]) -> str:
    """Quotas, in a few words."""
    return ", ".join(
        f"{rate.calls:,} {SPANS[int(rate.seconds)]}{' (from midnight UTC)' if rate.fixed_window else ''}"
        for rate in found
    )


def pools(found: Limits) -> str:
    """Narrower quotas, by what they are for."""
    return ", ".join(f"{name.replace('_', ' ')} {rates(narrower)}" for name, narrower in found.scoped_rates.items())


def limits(vendor: Vendor) -> list[tuple[str, str]]:
    """The vendor's limits as an export keeps them."""
    found = vendor.limits
    return [
        ("profiles a call", f"{found.batch_rows:,}"),
        ("bytes a call", f"{found.batch_bytes:,}"),
        ("calls at a time", str(found.max_concurrency)),
        ("import jobs at a time", f"{found.max_jobs:,}" if found.max_jobs else "answers at once"),
        ("calls an account", rates(found.rates) or "what the vendor's answers say"),
        ("of these", pools(found) or "-"),
        ("leavers a call", f"{leavers(vendor).batch_rows:,}"),
        ("leavers go by", "contact id" if vendor.removal and vendor.removal.by_id else "address"),
        ("removal jobs at a time", f"{leavers(vendor).max_jobs:,}" if leavers(vendor).max_jobs else "answers at once"),
        ("removals are", "told by the answer" if vendor.removal and vendor.removal.confirms else "read back"),
        ("seconds until a call times out", f"{found.timeout_s:g}"),
        ("custom fields a profile", str(vendor.max_custom_fields or "-")),
        ("characters of a custom field", str(vendor.max_custom_chars or "-")),
    ]


def leavers(vendor: Vendor) -> Limits:
    """The limits of removals; every vendor has them (tests/vendors/test_contract.py)."""
    if vendor.removal is None:
        raise LookupError(f"{vendor.name} does not take leavers out.")
    return vendor.removal.limits


def form(vendor: Vendor) -> str:
    """What an administrator fills in, besides what every connection has; secrets are masked by Airflow."""
    asked = [vendor.form.login_label, vendor.form.credential_label, *(one.label for one in vendor.form.fields)]
    return ", ".join(f"*{label}*" for label in asked if label)


def custom(vendor: Vendor) -> str:
    """The rules for custom fields."""
    born = (
        "They come into being when they are first sent." if vendor.implicit_custom_fields else "They are checked first."
    )
    return f"names have {vendor.custom_name_hint}. {born}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def points(told: dict[str, str]) -> str:
    """A Markdown list with a word in bold before each text."""
    return "".join(f"- **{word}**: {text}\n" for word, text in told.items())


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
                [name, *(found[name] for found in (dict(limits(vendor)) for vendor in vendors))]
                for name, _ in limits(vendors[0])
            ],
        ),
    ]
    for vendor in vendors:
        told = notes[vendor.name]
        parts += [
            f"## {vendor.title}\n",
            points(
                {
                    "Audience": told["audience"],
                    "Sign-in": f"{told['sign_in']} The connection's form asks for {form(vendor)}.",
                    "Sends": told["sends"],
                    "People who have opted out": told["opted_out"],
                    "People who leave": told["leavers"],
                    "People who come back": told["returning"],
                    "Who has opted out since": told["told"],
                    "A call without an answer": told["lost"],
                    "Never": f"{'; '.join(told['never'])}.",
                    "Custom fields": custom(vendor),
                }
            ),
            "Open questions, and what is assumed:\n",
            "".join(f"- {question}\n" for question in told["questions"]),
        ]
    return "\n".join(parts)


def cells(notes: dict[str, Any]) -> str:
    """All of it as CSV: a line a vendor, kind and name."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["vendor", "kind", "name", "value"])
    for vendor in VENDORS.values():
        writer.writerows([vendor.name, "field", neutral, cell(vendor, neutral).replace("`", "")] for neutral in FIELDS)
        writer.writerows([vendor.name, "limit", name, value] for name, value in limits(vendor))
        writer.writerow([vendor.name, "custom fields", "rules", custom(vendor)])
        writer.writerow([vendor.name, "form", "asks for", form(vendor).replace("*", "")])
        told = notes[vendor.name]
        writer.writerows([vendor.name, "note", name, told[name]] for name in NOTES)
        for kind in ("never", "questions"):
            writer.writerows([vendor.name, kind, str(number), text] for number, text in enumerate(told[kind], 1))
    return out.getvalue()


def main() -> int:
    """Write both files, or with --check tell whether they are current."""
    notes = tomllib.loads((DOCS / "vendor-notes.toml").read_text(encoding="utf-8"))
    made = {DOCS / "vendors.md": page(notes), DOCS / "vendors.csv": cells(notes)}
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
