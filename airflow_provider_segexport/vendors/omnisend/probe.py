"""Omnisend: the questions of a probe."""

from __future__ import annotations

from airflow_provider_segexport.vendors.omnisend import probe_calls as calls
from airflow_provider_segexport.vendors.omnisend.account_facts import CLEARED, LEFT_OUT_FACT, NEW_STATUS_FACT, UNTOUCHED
from airflow_provider_segexport.vendors.omnisend.probe_consent import CONSENT_QUESTIONS
from airflow_provider_segexport.vendors.omnisend.responses import API_VERSION
from airflow_provider_segexport.vendors.omnisend.tags import FACT, MERGE, REPLACE
from airflow_provider_segexport.vendors.probe import Answer, Probe, Question
from airflow_provider_segexport.vendors.probe_answers import COUNTED_CALLS, EMAIL_CASE_FACT, email_case

BATCH_PERMISSION = {
    "enough": Answer("The key may read batches.", "Exports read the results of batches."),
    "more": Answer(
        "The key lacks a permission for reading batches.",
        "An export stops before its first batch. Grant the key products.read and events.read, too.",
    ),
}
TAGS = {
    MERGE: Answer("Tags of an upsert are added to the contact's tags.", "Exports send the tag with each contact."),
    REPLACE: Answer(
        "Tags of an upsert replace the contact's tags.",
        "Exports send contacts without tags, and add the tag by `POST /contacts/tags`.",
    ),
}
LEFT_OUT_TAGS = {
    UNTOUCHED: Answer("An upsert without tags leaves the contact's tags alone.", "Nothing changes."),
    CLEARED: Answer(
        "An upsert without tags removes the contact's tags.",
        "If tags are merged, exports send the tag with each contact; otherwise they send nothing.",
    ),
}
NEW_STATUS = {
    "nonSubscribed": Answer("A new contact is not a subscriber.", "Nothing changes."),
    "subscribed": Answer("A new contact is a subscriber although no consent was sent.", "Exports send nothing."),
    "unsubscribed": Answer(
        "A new contact is unsubscribed.", "Exports go on. New contacts receive no promotions until they subscribe."
    ),
}
VALUES = {
    "kept": Answer("Decimals and times are kept.", "Nothing changes."),
    "changed": Answer(
        "A decimal or a time is stored as another value or type.",
        "Exports go on. Compare a value at the vendor before you use it in a segment.",
    ),
    "rejected": Answer("A decimal or a time rejects its contact.", "Send such columns as text."),
}

PROBE = Probe(
    api_version=API_VERSION,
    clean_up=calls.clean_up,
    leaves="The addresses stay as contacts of the brand without the tag. Delete them in the web application.",
    questions=(
        Question(
            name="batch_permission",
            text="Which permissions does reading the results of batches need?",
            confidence="documented",
            source="OpenAPI 2026-03-15 lists products.read, contacts.read and events.read, as alternatives",
            answers=BATCH_PERMISSION,
            assumed="enough",
            people=0,
            calls=1,
            seconds=1,
            ask=calls.ask_batch_permission,
        ),
        Question(
            name=FACT,
            text="Does an upsert merge its tags with a contact's tags, or replace them?",
            confidence="assumed",
            source="not documented; before a probe or an experiment, exports assume `replace`",
            answers=TAGS,
            assumed=MERGE,
            people=1,
            calls=30,
            seconds=30,
            changes="gives one address the tag and two temporary tags, and removes all three",
            fact=FACT,
            ask=calls.ask_tags,
            undo=calls.undo_tags,
        ),
        Question(
            name=LEFT_OUT_FACT,
            text="Does an upsert without tags leave a contact's tags alone?",
            confidence="assumed",
            source="the vendor's WordPress plugin leaves out empty tags since 2026-03-15",
            answers=LEFT_OUT_TAGS,
            assumed=UNTOUCHED,
            people=1,
            calls=40,
            seconds=40,
            changes="gives one address a temporary tag and a first name, and removes the tag",
            leaves="the first name Probe",
            fact=LEFT_OUT_FACT,
            why_unfit=calls.why_unfit,
            ask=calls.ask_left_out_tags,
            undo=calls.undo_tags,
        ),
        Question(
            name=NEW_STATUS_FACT,
            text="Which status does a new contact get if it is sent without `channels`?",
            confidence="assumed",
            source="`channels` is optional in 2026-03-15, and the status is not documented",
            answers=NEW_STATUS,
            assumed="nonSubscribed",
            people=1,
            calls=20,
            seconds=15,
            changes="creates one contact",
            fact=NEW_STATUS_FACT,
            ask=calls.ask_new_status,
        ),
        *CONSENT_QUESTIONS,
        Question(
            name="email_case",
            text="Is an address in upper case the same contact as in lower case?",
            confidence="assumed",
            source="the v5 page says that email identifiers are case-sensitive; the page of 2026-03-15 does not",
            answers=email_case("contact", "brand"),
            assumed="same",
            fact=EMAIL_CASE_FACT,
            people=1,
            calls=30,
            seconds=20,
            changes="creates one contact, or two",
            why_unfit=calls.why_unfit,
            ask=calls.ask_email_case,
        ),
        Question(
            name="values",
            text="Does a custom property keep a decimal and a time as they are sent?",
            confidence="assumed",
            source="properties keep the type of their value; formats are not documented",
            answers=VALUES,
            assumed="kept",
            people=1,
            calls=40,
            seconds=30,
            changes="gives one address two custom properties, and empties them",
            leaves="the names of two empty custom properties (segexport_check_...)",
            why_unfit=calls.why_unfit,
            ask=calls.ask_values,
            undo=calls.undo_values,
        ),
        Question(
            name="rate_headers",
            text="Does a response report the remaining calls?",
            confidence="documented",
            source="the rate limits page (2026-08-05) names no headers except those of a 429",
            answers=COUNTED_CALLS,
            assumed="absent",
            people=0,
            calls=1,
            seconds=1,
            ask=calls.ask_rate_headers,
        ),
    ),
)
