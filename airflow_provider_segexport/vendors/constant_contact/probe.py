"""Constant Contact: the questions of a probe.

The probe does not test whether an import adds people again who left a single list, because no call makes a person leave
one. The vendor's guide says that it does (contacts_sync.html, read 2026-08).
"""

from __future__ import annotations

from airflow_provider_segexport.vendors.constant_contact import probe_calls as calls
from airflow_provider_segexport.vendors.constant_contact.imports import ERROR_LINES_FACT
from airflow_provider_segexport.vendors.probe import Answer, Probe, Question
from airflow_provider_segexport.vendors.probe_answers import (
    COUNTED_CALLS,
    DECIMALS_AND_TIMES,
    EMAIL_CASE_FACT,
    GONE,
    email_case,
    removal_deletes,
    unknown_field,
)

API_VERSION = "v3"
NO_LIST_FACT = "no_list"

NEW_STATUS = {
    "implicit": Answer("A new contact has implied permission.", "Send only people who have agreed to receive mail."),
    "explicit": Answer(
        "A new contact counts as a contact with express permission.",
        "Exports go on. Send only people who have given express permission.",
    ),
    "pending_confirmation": Answer(
        "The account confirms opt-ins: a new contact gets a mail and must confirm.",
        "Exports go on, and each new contact gets that mail. Disable the setting if you do not want it.",
    ),
}
PERSON_COUNT = {
    "all": Answer("`person_count` includes rows with errors.", "Exports accept both interpretations."),
    "valid": Answer("`person_count` excludes rows with errors.", "Exports accept both interpretations."),
}
ERROR_LINES = {
    "line_2": Answer("An error of the first row names line 2.", "Exports count lines from 2."),
    "line_1": Answer("An error of the first row names line 1.", "Exports count lines from 1."),
    "none": Answer("Errors are counted and name no line.", "Exports read the list back to find the rows."),
}
NO_LIST = {
    "empty": Answer("A contact on no list has an empty list of memberships.", "Exports look people up one by one."),
    "left_out": Answer("The record of a contact on no list names no memberships.", "Exports read the list's pages."),
    GONE: removal_deletes("off its last list"),
}

WITHOUT_ID = (
    "The account's id is read with the scope account_read, which the login probably lacks. To fix: log in again by "
    "`airflow segexport login <connection id>`, which asks for all scopes, and run the probe then."
)

PROBE = Probe(
    api_version=API_VERSION,
    clean_up=calls.clean_up,
    leaves="The addresses stay as contacts of the account on no list, and may count for your bill. Delete them in the "
    "web application.",
    without_id=WITHOUT_ID,
    questions=(
        Question(
            name="new_status",
            text="Which permission does a new contact of an import get?",
            confidence="documented",
            source="import_contacts.html (2026-08): implicit; an account that confirms opt-ins is not described",
            answers=NEW_STATUS,
            assumed="implicit",
            people=1,
            calls=20,
            seconds=20,
            changes="creates one contact",
            ask=calls.ask_new_status,
        ),
        Question(
            name="email_case",
            text="Is an address in upper case the same contact as in lower case?",
            confidence="assumed",
            source="not documented; clients compare in lower case",
            answers=email_case("contact", "account"),
            assumed="same",
            fact=EMAIL_CASE_FACT,
            people=1,
            calls=25,
            seconds=25,
            changes="creates one contact, or two",
            ask=calls.ask_email_case,
        ),
        Question(
            name="unknown_field",
            text="What does an import do with a custom field that does not exist?",
            confidence="assumed",
            source="the specification (3.0.178) says that fields must exist, but not what happens otherwise",
            answers=unknown_field("custom field"),
            assumed="ignored",
            people=1,
            calls=20,
            seconds=20,
            changes="creates one contact",
            ask=calls.ask_unknown_field,
        ),
        Question(
            name="person_count",
            text="Does `person_count` of an import include rows with errors?",
            confidence="assumed",
            source="the specification (3.0.178) calls it the contacts in the import",
            answers=PERSON_COUNT,
            assumed="all",
            people=2,
            calls=20,
            seconds=20,
            changes="creates one contact",
            leaves="a row with an error, which the web application may offer to correct",
            ask=calls.ask_person_count,
        ),
        Question(
            name=ERROR_LINES_FACT,
            text="Which line does the error of an import's first row name?",
            confidence="assumed",
            source="two independent clients subtract 2; not documented",
            answers=ERROR_LINES,
            assumed="line_2",
            people=2,
            calls=20,
            seconds=20,
            changes="creates one contact",
            leaves="a row with an error, which the web application may offer to correct",
            fact=ERROR_LINES_FACT,
            ask=calls.ask_error_lines,
        ),
        Question(
            name=NO_LIST_FACT,
            text="What does the record of a contact on no list say?",
            confidence="assumed",
            source="the member `list_memberships` is optional in the specification (3.0.178)",
            answers=NO_LIST,
            assumed="empty",
            fact=NO_LIST_FACT,
            people=1,
            calls=20,
            seconds=25,
            changes="creates one contact, and takes it off the list",
            ask=calls.ask_no_list,
        ),
        Question(
            name="values",
            text="Do fields of the types number and datetime keep a decimal and a time?",
            confidence="documented",
            source="specification 3.0.178: `decimal_places` 1 to 4, datetime since 2025-09",
            answers=DECIMALS_AND_TIMES,
            assumed="kept",
            people=1,
            calls=25,
            seconds=20,
            changes="creates one contact and two custom fields, and deletes the fields",
            ask=calls.ask_values,
            undo=calls.undo_values,
        ),
        Question(
            name="rate_headers",
            text="Does a response report the remaining calls?",
            confidence="assumed",
            source="rate_limits.html (2026-08) names no header",
            answers=COUNTED_CALLS,
            assumed="absent",
            people=0,
            calls=1,
            seconds=1,
            ask=calls.ask_rate_headers,
        ),
    ),
)
