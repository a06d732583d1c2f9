"""dotdigital: the questions of a probe, and how the answers change exports."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.dotdigital import probe_calls as calls
from airflow_provider_segexport.vendors.dotdigital.members import list_without_leavers
from airflow_provider_segexport.vendors.probe import Answer, Probe, Question
from airflow_provider_segexport.vendors.probe_answers import (
    DECIMALS_AND_TIMES,
    EMAIL_CASE_FACT,
    FIELDS_ARE_CHECKED,
    GONE,
    email_case,
    removal_deletes,
    unknown_field,
)

API_VERSION = "v3"

LEFT_BOOK, IDS, TWO_REMOVALS = "left_book", "ids_per_removal", "two_removals"
NO_BOOK_FACT = "no_book"

NEW_STATUS = {
    "subscribed": Answer("A new contact is subscribed.", "Send only people who have agreed to receive mail."),
    "pendingOptIn": Answer(
        "The account enforces double opt-in: a new contact gets a mail and must confirm.",
        "Exports go on, and each new contact gets that mail. Disable the setting, or use another address book.",
    ),
    "noSubscription": Answer("A new contact has no subscription.", "Exports go on. New contacts receive no campaigns."),
}
UNKNOWN_FIELD = {
    **unknown_field("data field"),
    "created": Answer("An unknown data field is created.", FIELDS_ARE_CHECKED),
}
LEFT_BOOK_ANSWERS = {
    "stays_out": Answer("An import does not add a person again who left the book.", "Nothing changes."),
    "readds": Answer(
        "An import adds a person again who left the book.",
        "Exports read the book first, and withhold people who have left it (`left_audience`).",
    ),
}
IDS_PER_REMOVAL = {
    str(size): Answer(f"A removal takes {counted(size, 'id')}.", f"Exports remove {counted(size, 'person')} in a call.")
    for size in calls.REMOVAL_SIZES
}
TWO_REMOVALS_ANSWERS = {
    "both": Answer("Two removals may run on one book.", "Exports start up to four."),
    "in_use": Answer("The book takes one removal at a time.", "Exports start one removal at a time."),
}
NO_BOOK = {
    "empty": Answer("A contact in no book has an empty list of books.", "Exports look people up one by one."),
    "left_out": Answer("The record of a contact in no book does not name books.", "Exports read the book's pages."),
    GONE: removal_deletes("out of its last book"),
}
RATE_HEADERS = {
    "epoch": Answer("Headers report the reset as an epoch time.", "Exports use them."),
    "seconds": Answer(
        "Headers report the reset in seconds from now.", "Exports use them, because they accept both forms."
    ),
    "absent": Answer("No header reports the remaining calls.", "Set 'Calls per minute' in the connection."),
}


def with_facts(vendor: Vendor, audience: Audience) -> Vendor:
    """Return the vendor, adapted to the answers of a probe of the account."""
    removal = vendor.removal
    if removal is None:
        return vendor
    limits, extra = removal.limits, audience.extra
    if extra.get(IDS, "") in IDS_PER_REMOVAL:
        limits = replace(limits, batch_rows=min(limits.batch_rows, int(extra[IDS])))
    if extra.get(TWO_REMOVALS) == "in_use":
        limits = replace(limits, max_jobs=1, max_concurrency=1)
    vendor = replace(vendor, removal=replace(removal, limits=limits))
    if extra.get(LEFT_BOOK) != "readds":
        return vendor
    return replace(vendor, import_readds_leavers=True, list_members=list_without_leavers)


PROBE = Probe(
    api_version=API_VERSION,
    clean_up=calls.clean_up,
    leaves="The addresses stay as contacts of the account in no address book. Delete them in the web application.",
    questions=(
        Question(
            name="new_status",
            text="Which status does a new contact get if it is imported without a status?",
            confidence="assumed",
            source="a status is optional in the import, and the default is not documented",
            answers=NEW_STATUS,
            assumed="subscribed",
            people=1,
            calls=15,
            seconds=15,
            changes="creates one contact; with enforced double opt-in, the vendor sends it a mail",
            ask=calls.ask_new_status,
        ),
        Question(
            name="email_case",
            text="Is an address in upper case the same contact as in lower case?",
            confidence="assumed",
            source="not documented",
            answers=email_case("contact", "account"),
            assumed="same",
            fact=EMAIL_CASE_FACT,
            people=1,
            calls=20,
            seconds=20,
            changes="creates one contact, or two",
            ask=calls.ask_email_case,
        ),
        Question(
            name="unknown_field",
            text="What does an import do with a data field that does not exist?",
            confidence="assumed",
            source="v2 has ERROR_DATAFIELD_NOTFOUND; not documented for the v3 import",
            answers=UNKNOWN_FIELD,
            assumed="ignored",
            people=1,
            calls=20,
            seconds=15,
            changes="creates one contact",
            ask=calls.ask_unknown_field,
            undo=calls.undo_unknown_field,
        ),
        Question(
            name=LEFT_BOOK,
            text="Does an import add a person again who unsubscribed only from the book?",
            confidence="assumed",
            source="the v2 calls for adding leave such people out; Segment sends a status only to resubscribe",
            answers=LEFT_BOOK_ANSWERS,
            assumed="stays_out",
            people=1,
            calls=25,
            seconds=25,
            changes="creates one contact, unsubscribes it from the test book, and takes it out of the book",
            fact=LEFT_BOOK,
            ask=calls.ask_left_book,
        ),
        Question(
            name=IDS,
            text="How many ids does one removal take?",
            confidence="assumed",
            source="no maximum is documented; Oro's connector sends 1,000",
            answers=IDS_PER_REMOVAL,
            assumed="1000",
            people=1,
            calls=25,
            seconds=20,
            changes="creates one contact, and takes it out of the book by a call that repeats its id",
            fact=IDS,
            ask=calls.ask_ids_per_removal,
        ),
        Question(
            name=TWO_REMOVALS,
            text="May two removals run on one book at the same time?",
            confidence="assumed",
            source="ERROR_ADDRESSBOOK_IN_USE is documented, but not when it occurs",
            answers=TWO_REMOVALS_ANSWERS,
            assumed="both",
            people=2,
            calls=25,
            seconds=25,
            changes="creates two contacts, and takes them out of the book by two calls",
            fact=TWO_REMOVALS,
            ask=calls.ask_two_removals,
        ),
        Question(
            name=NO_BOOK_FACT,
            text="What does the record of a contact in no book say?",
            confidence="assumed",
            source="the member `lists` is optional in the contacts specification (3.4.3)",
            answers=NO_BOOK,
            assumed="empty",
            fact=NO_BOOK_FACT,
            people=1,
            calls=20,
            seconds=20,
            changes="creates one contact, and takes it out of the book",
            ask=calls.ask_no_book,
        ),
        Question(
            name="values",
            text="Do fields of the types Numeric and Date keep a decimal and a time?",
            confidence="assumed",
            source="the precision is not documented",
            answers=DECIMALS_AND_TIMES,
            assumed="kept",
            people=1,
            calls=25,
            seconds=15,
            changes="creates one contact and two data fields, and deletes the fields",
            ask=calls.ask_values,
            undo=calls.undo_values,
        ),
        Question(
            name="rate_headers",
            text="Does a response report the remaining calls, with the reset as an epoch time?",
            confidence="documented",
            source="call rate limits page (2026-08): X-RateLimit-Remaining and -Reset, for the tiered scheme",
            answers=RATE_HEADERS,
            assumed="epoch",
            people=0,
            calls=1,
            seconds=1,
            ask=calls.ask_rate_headers,
        ),
    ),
)
