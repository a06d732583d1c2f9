"""Writes docs/vendors.md and docs/vendors.csv from the tables of each vendor's package, the notes and the proofs.

The notes are in docs/vendor-notes.toml. The proofs, which are answers of real accounts, are in docs/vendor-proofs.toml.

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

PROOF_KEYS = {"vendor", "question", "answer", "by", "on", "provider_version"}

NO_PROOFS = (
    "No real account has been probed yet: docs/vendor-proofs.toml is empty, so nothing below is proven. The "
    "maintainers have no account at any vendor."
)
PROVEN = "Answers of real accounts are in docs/vendor-proofs.toml."
HOW = (
    "*documented* means that the vendor's documentation says it, *assumed* that it does not, and *proven* that "
    "[`airflow segexport probe`](probe.md) has asked a real account. You can ask your own account in a few minutes.\n"
)

INTRODUCTION = (
    "Each vendor's fields and limits as exports keep them, what happens to people who have opted out, and what an "
    "export never does.\n"
)


def describe_rule(rule: FieldRule) -> str:
    """Return the vendor's field of a rule, with its restrictions."""
    key = f"`{rule.key}`"
    restrictions = [
        "custom field" if rule.custom else "",
        "joined" if rule.joined else "",
        f"{rule.value_kind.replace('_', ' ')}" if rule.value_kind != "text" else "",
        f"at most {rule.max_chars} characters" if rule.max_chars else "",
        "left out if it does not fit" if rule.drop_invalid else "",
    ]
    text = ", ".join(filter(None, restrictions))
    return f"{key} ({text})" if text else key


def cell(vendor: Vendor, neutral: str) -> str:
    """Return the vendor's fields for a vendor-neutral field; a dash if there is none."""
    return " and ".join(describe_rule(rule) for rule in vendor.fields if rule.field == neutral) or "-"


NOTES = ("audience", "login", "sends", "opted_out", "leavers", "returning", "optouts", "lost")
PERIODS = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day"}


def rates_text(limits: Iterable[Rate]) -> str:
    """Return quotas as text."""
    return ", ".join(
        f"{rate.calls:,} {PERIODS[int(rate.seconds)]}{' (from midnight UTC)' if rate.fixed_window else ''}"
        for rate in limits
    )


def scoped_rates_text(limits: Limits) -> str:
    """Return the quotas of single endpoints as text."""
    return ", ".join(
        f"{name.replace('_', ' ')} {rates_text(narrower)}" for name, narrower in limits.scoped_rates.items()
    )


def limits(vendor: Vendor) -> list[tuple[str, str]]:
    """Return names and values of a vendor's limits."""
    declared = vendor.limits
    reported = "as the responses report" if vendor.remaining_quota else "no limit published"
    return [
        ("profiles a call", f"{declared.batch_rows:,}"),
        ("bytes a call", f"{declared.batch_bytes:,}"),
        ("calls at a time", str(declared.max_concurrency)),
        ("import jobs at a time", f"{declared.max_jobs:,}" if declared.max_jobs else "no jobs"),
        ("calls of an account", rates_text(declared.rates) or reported),
        ("calls to single endpoints", scoped_rates_text(declared) or "-"),
        ("leavers a call", f"{leavers(vendor).batch_rows:,}"),
        ("leavers are removed by", "contact id" if vendor.removal and vendor.removal.by_id else "address"),
        ("removal jobs at a time", f"{leavers(vendor).max_jobs:,}" if leavers(vendor).max_jobs else "no jobs"),
        ("removals are", "confirmed by the response" if vendor.removal and vendor.removal.confirms else "read back"),
        ("seconds until a call times out", f"{declared.timeout_s:g}"),
        ("custom fields a profile", str(vendor.max_custom_fields or "-")),
        ("characters of a custom field", str(vendor.max_custom_chars or "-")),
    ]


def leavers(vendor: Vendor) -> Limits:
    """Return the limits of removals; every vendor has them (tests/vendors/test_contract.py)."""
    if vendor.removal is None:
        raise LookupError(f"{vendor.name} cannot remove leavers.")
    return vendor.removal.limits


def form_text(vendor: Vendor) -> str:
    """Return the labels of the vendor's own fields in the connection's form."""
    labels = [vendor.form.login_label, vendor.form.credential_label, *(field.label for field in vendor.form.fields)]
    return ", ".join(f"*{label}*" for label in labels if label)


def custom_fields_text(vendor: Vendor) -> str:
    """Return the rules for custom fields."""
    creation = (
        "The vendor creates them when they are first sent."
        if vendor.implicit_custom_fields
        else "The export checks that they exist."
    )
    return f"names have {vendor.custom_name_hint}. {creation}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def bullets(texts: dict[str, str]) -> str:
    """Return a Markdown list with a label in bold before each text."""
    return "".join(f"- **{label}**: {text}\n" for label, text in texts.items())


def proofs() -> list[dict[str, str]]:
    """Return the proofs, checked against the vendors' questions.

    Raises:
        SystemExit: a proof has other keys, or names a question or an answer that does not exist.
    """
    entries: list[dict[str, str]] = tomllib.loads((DOCS / "vendor-proofs.toml").read_text(encoding="utf-8")).get(
        "proof", []
    )
    for entry in entries:
        vendor = VENDORS.get(entry.get("vendor", ""))
        questions = {question.name: question for question in vendor.probe.questions} if vendor and vendor.probe else {}
        question = questions.get(entry.get("question", ""))
        if set(entry) != PROOF_KEYS or question is None or entry["answer"] not in question.answers:
            raise SystemExit(f"docs/vendor-proofs.toml: this proof cannot be used: {entry}")
    return entries


def questions_table(vendor: Vendor, proven: list[dict[str, str]]) -> str:
    """Return the table of a vendor's questions: what exports assume, and what the assumption is based on."""
    rows = []
    for question in vendor.probe.questions if vendor.probe else ():
        own = [each for each in proven if (each["vendor"], each["question"]) == (vendor.name, question.name)]
        shown = [f"*proven* `{each['answer']}` by {each['by']}, {each['on']}" for each in own]
        confidence = "; ".join([f"*{question.confidence}*: {question.source}", *shown])
        rows.append([f"`{question.name}`", question.text, f"`{question.assumed}`", confidence])
    return table(["question", "text", "exports assume", "how sure"], rows)


def page(notes: dict[str, Any]) -> str:
    """Return the page."""
    proven = proofs()
    vendors = list(VENDORS.values())
    parts = [
        "# Vendors\n",
        "<!-- Written by scripts/vendor_matrix.py; the same as a table of cells: vendors.csv. -->\n",
        INTRODUCTION,
        f"{PROVEN if proven else NO_PROOFS} {HOW}",
        "## Fields\n",
        table(
            ["field", *(vendor.title for vendor in vendors)],
            [[f"`{neutral}`", *(cell(vendor, neutral) for vendor in vendors)] for neutral in FIELDS],
        ),
        "Other columns are sent if `custom_fields` maps them, under the vendor's name for the field.\n",
        "## Limits\n",
        table(
            ["", *(vendor.title for vendor in vendors)],
            [
                [name, *(values[name] for values in (dict(limits(vendor)) for vendor in vendors))]
                for name, _ in limits(vendors[0])
            ],
        ),
    ]
    for vendor in vendors:
        note = notes[vendor.name]
        parts += [
            f"## {vendor.title}\n",
            bullets(
                {
                    "Audience": note["audience"],
                    "Login": f"{note['login']} The connection's form asks for {form_text(vendor)}.",
                    "Sends": note["sends"],
                    "People who have opted out": note["opted_out"],
                    "People who leave": note["leavers"],
                    "People who come back": note["returning"],
                    "Opt-outs": note["optouts"],
                    "A call without a response": note["lost"],
                    "Never": f"{'; '.join(note['never'])}.",
                    "Custom fields": custom_fields_text(vendor),
                }
            ),
            "Questions that a probe asks:\n",
            questions_table(vendor, proven),
            "Other assumptions and limits:\n",
            "".join(f"- {question}\n" for question in note["questions"]),
        ]
    return "\n".join(parts)


def csv_text(notes: dict[str, Any]) -> str:
    """Return the page's content as CSV: one line for each vendor, kind and name."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["vendor", "kind", "name", "value"])
    for vendor in VENDORS.values():
        writer.writerows([vendor.name, "field", neutral, cell(vendor, neutral).replace("`", "")] for neutral in FIELDS)
        writer.writerows([vendor.name, "limit", name, value] for name, value in limits(vendor))
        writer.writerow([vendor.name, "custom fields", "rules", custom_fields_text(vendor)])
        for question in vendor.probe.questions if vendor.probe else ():
            writer.writerow([vendor.name, "assumed", question.name, question.assumed])
        writer.writerow([vendor.name, "form", "asks for", form_text(vendor).replace("*", "")])
        note = notes[vendor.name]
        writer.writerows([vendor.name, "note", name, note[name]] for name in NOTES)
        for kind in ("never", "questions"):
            writer.writerows([vendor.name, kind, str(number), text] for number, text in enumerate(note[kind], 1))
    return out.getvalue()


def main() -> int:
    """Write both files, or check with --check whether they are current."""
    notes = tomllib.loads((DOCS / "vendor-notes.toml").read_text(encoding="utf-8"))
    made = {DOCS / "vendors.md": page(notes), DOCS / "vendors.csv": csv_text(notes)}
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
