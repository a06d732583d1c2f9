"""Banned words with the plain words that replace them, and how prose may begin."""

from __future__ import annotations

import re

PROSE = {
    "told": "says, reports, is configured with",
    "tells": "says, returns, shows",
    "telling": "saying, returning",
    "whom": "name the noun: people that, the person that",
    "whomever": "name the noun",
    "whoever": "name the noun: a person who, a run that",
    "whosoever": "name the noun",
    "nobody": "no person, no user, no run",
    "somebody": "a person, another person",
    "everybody": "every person, all people",
    "anybody": "any person",
    "meanwhile": "since then, in the meantime",
    "anew": "again",
    "stands": "is, is stored",
    "standing": "audience state",
    "standings": "audience states",
    "errand": "run configuration, request",
    "errands": "run configurations, requests",
    "patient": "job poll policy",
    "patience": "retry limits",
    "lane": "connection, concurrent call",
    "lanes": "connections, concurrent calls",
    "shelf": "variable store",
    "shelves": "variable stores",
    "bookkeeper": "batch recorder",
    "doom": "fault",
    "doomed": "made to fail",
    "verdict": "result, batch result",
    "verdicts": "results, batch results",
    "nought": "zero",
}
PHRASES = {
    "sign-in": "login",
    "sign-ins": "logins",
    "sign in": "log in",
    "data matching": "field mapping",
    "quota store": "rate limit store",
    "switched off": "disabled",
    "switches off": "disables",
    "for want of": "because there is no",
    "without a word": "silently",
}
NAMES = {
    "found": "name the content: rows, connection, files",
    "told": "name the content: response_json, report, config",
    "one": "name the element: row, person, file",
    "words": "name the content: message, labels, reason",
    "here": "name the content",
    "asked": "name the content: requested_ids, config",
    "kept": "name the content: remaining, stored",
    "known": "name the content: known_ids, ledger_rows",
    "who": "name the noun: emails, person",
    "whom": "name the noun: emails, person",
    "whole": "name the content: text, total",
    "there": "name the content: existing, members",
    "these": "name the content",
    "them": "name the content",
    "its": "name the content",
    "far": "remote_...",
    "place": "path, folder, position",
    "places": "paths, folders, positions",
    "said": "name the content: value, outcomes",
    "flight": "in_flight",
    "world": "environment",
    "errand": "config, request",
    "patient": "poll_policy",
    "standing": "audience_state",
    "lanes": "connections",
    "shelf": "variable_store",
    "bookkeeper": "recorder",
    "door": "request_guard",
    "doom": "fault",
    "books": "stores",
}
PARTS = {"told", "whom", "nobody", "whoever", "errand", "shelf", "lanes", "bookkeeper", "doom", "standing", "patient"}
"""Banned also as a part of a longer name: `sent_nobody`."""

VENDOR_TERMS = {("airflow_provider_segexport/simulator/dotdigital", "books")}
"""Folders whose vendor uses the word: dotdigital's address books."""

OPENINGS = re.compile(r"\s*(Who|Whom|Whose|Whoever|Of|What|That)\b")
