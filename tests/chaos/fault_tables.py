"""Tables that schedules draw from: opt-outs, odd names, faults of calls, hostile responses, jobs, files to damage."""

from __future__ import annotations

import re
from collections.abc import Sequence

OPT_OUTS: dict[str, Sequence[str]] = {
    "campaign_monitor": ("unsubscribed", "bounced", "deleted"),
    "dotdigital": ("unsubscribed", "unsubscribedFromList", "hardBounced"),
    "constant_contact": ("unsubscribe", "leave_list"),
    "omnisend": ("unsubscribe",),
}
"""Ways in which a member stops to get mail: statuses to seed, or the vendor's own actions."""


BY_ACTION = frozenset({"unsubscribe", "leave_list"})


ODD_COLUMNS: Sequence[dict[str, str]] = (
    {"email": "e mail", "name": "select", "consent": "from", "consented_at": "at"},
    {"email": 'e"mail', "name": "it's; drop table clean; --", "consent": "{}", "consented_at": '"'},
    {
        "email": "E-Mail \N{LATIN SMALL LETTER U WITH DIAERESIS}",
        "name": "\N{HIRAGANA LETTER A}",
        "consent": "$1",
        "consented_at": "'; \\",
    },
    {"email": "row", "name": "aside", "consent": "filename", "consented_at": "proof_at"},
)


ODD_FOLDERS = ("ro ot", "ro'ot", "ro[o]t*", "day=2026-01-01", "100%25", "\N{HIRAGANA LETTER A}{x}")


FAULTS: Sequence[dict[str, object]] = (
    {"status": 429, "headers": {"Retry-After": "2"}},
    {"status": 503},
    {"status": 503, "when": "after"},
    {"drop": True},
    {"drop": True, "when": "after"},
    {"garble": "truncated", "when": "after"},
    {"garble": "html", "when": "after"},
    {"garble": "html"},
)


HOSTILE: Sequence[tuple[str, dict[str, object]]] = (
    ("depth", {"status": 200, "body": "[" * 100_000}),
    ("number", {"status": 200, "body": '{"id": 1e999, "status": ' + "9" * 5000 + "}"}),
    ("surrogate", {"status": 400, "body": '{"Code": 1, "Message": "\\ud800 \\u001b[2J <b>\\n"}'}),
    ("another kind", {"status": 200, "body": "null"}),
    ("a list", {"status": 200, "body": [[[]]]}),
    ("an empty page", {"status": 200, "body": ""}),
    ("a length of 300 MB", {"status": 502, "body": "x" * 3_000_000}),
    ("a time far ahead", {"status": 503, "headers": {"Retry-After": "9" * 30}}),
    ("a time that is past", {"status": 503, "headers": {"Retry-After": "-5"}}),
    ("a redirect", {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}),
)


DAMAGED = re.compile(r"plan\.json|journal\.jsonl|(upserts|removals)\.arrow|audience_state.*\.json|0.*\.json")
"""Files that are read again; the last are leases and the history. A ledger that is lost forgets people that a mirror
would take out, so `tests/vendors/test_damaged_state.py` damages those."""


JOBS: dict[str, Sequence[tuple[str, dict[str, object]]]] = {
    "campaign_monitor": (),
    "dotdigital": (
        ("script_jobs", {"scripts": [["NotFinished", "Failed"]]}),
        ("script_jobs", {"scripts": [["NotFinished"] * 3 + ["Finished"], ["Failed"], ["NotFinished", "Failed"]]}),
    ),
    "constant_contact": (
        ("script_jobs", {"scripts": [["initialized", "failed"]]}),
        ("script_jobs", {"scripts": [["initialized", "completed"], ["processing", "timed_out"], ["failed"]]}),
    ),
    "omnisend": (
        ("stop_batches", {"after": [2, 0]}),
        ("fail_items", {"status": 503, "every": 3, "times": 3}),
        ("script_jobs", {"scripts": [["pending", "inProgress", "inProgress", "finished"]]}),
    ),
}
