"""Campaign Monitor: the questions of a probe."""

from __future__ import annotations

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.vendors.campaign_monitor import probe_calls as calls
from airflow_provider_segexport.vendors.campaign_monitor import probe_confirmation as confirmation
from airflow_provider_segexport.vendors.campaign_monitor.account import CONFIRMED_OPT_IN
from airflow_provider_segexport.vendors.probe import Answer, Probe, Question
from airflow_provider_segexport.vendors.probe_answers import EMAIL_CASE_FACT, email_case, unknown_field

API_VERSION = "v3.3"
REJECTIONS_FACT, ADDED = "rejections", "added"
UNCONFIRMED_FACT, ACTIVATED = "unconfirmed", "activated"

REJECTIONS = {
    "by_row": Answer("An import returns codes 204 to 206 row by row, and adds all others.", "Nothing changes."),
    "batch_rejected": Answer(
        "One such person rejects the whole import.",
        "Exports halve a rejected batch until each such person is isolated.",
    ),
    "silent": Answer(
        "An import silently leaves such people out.",
        "Exports detect this from the response's counters, and read the list back to identify the people.",
    ),
    ADDED: Answer("An import adds people again who are deleted, unsubscribed or suppressed.", "Exports send nothing."),
}
OPT_IN = {
    "active": Answer("An import adds people as active, and sends no mail.", "Nothing changes."),
    "unconfirmed": Answer(
        "An import sends each new person a mail and leaves them unconfirmed.",
        "Exports go on, and each new person gets that mail. Use another list if you do not want it.",
    ),
}
UNCONFIRMED = {
    "by_row": Answer("An import returns code 208 for such a person, and adds all others.", "Nothing changes."),
    "batch_rejected": Answer(
        "One such person rejects the whole import.",
        "Exports halve a rejected batch until each such person is isolated.",
    ),
    "silent": Answer(
        "An import silently leaves such people out.",
        "Exports detect this from the response's counters, and read the list back to identify the people.",
    ),
    ACTIVATED: Answer(
        "An import makes such a person active without a confirmation.",
        "Exports send nothing to lists with confirmed opt-in.",
    ),
}
VALUES = {
    "kept": Answer("Decimals and dates are kept.", "Nothing changes."),
    "changed": Answer("A decimal or a date is cut or left out.", "Exports go on. Send such columns as text."),
    "rejected": Answer("A decimal or a date rejects its row.", "Send such columns as text."),
}
RATE_HEADERS = {
    "absent": Answer("No header reports the remaining calls.", "Exports send four calls at a time."),
    "seconds": Answer("Headers report the reset in seconds from now.", "After a 429, exports wait for that time."),
    "epoch": Answer("Headers report the reset as an epoch time.", "After a 429, exports wait until that time."),
}


def why_not_exported(audience: Audience) -> str:
    """Return why exports may not send to an account; empty if they may."""
    if audience.extra.get(CONFIRMED_OPT_IN) and audience.extra.get(UNCONFIRMED_FACT) == ACTIVATED:
        return (
            f"The list {audience.audience_name!r} confirms opt-ins, and an import into a list of this Campaign Monitor "
            "client makes people active who have not confirmed theirs, as `airflow segexport probe` has shown. To fix: "
            "export to a list without confirmed opt-in, or ask Campaign Monitor's support, and run the probe again "
            "after a change."
        )
    if audience.extra.get(REJECTIONS_FACT) != ADDED:
        return ""
    return (
        "An import into this Campaign Monitor client adds people again who have opted out, as `airflow segexport "
        "probe` has shown. To fix: ask Campaign Monitor's support, and run the probe again after a change."
    )


PROBE = Probe(
    api_version=API_VERSION,
    without_id="The connection has no 'Client id', and the login sees several clients or none. To fix: enter 'Client "
    "id' in the connection, and run the probe again.",
    clean_up=calls.clean_up,
    leaves="The addresses stay in the list as Deleted, and one as Unsubscribed. Delete the test list afterwards.",
    questions=(
        Question(
            name="confirmed_opt_in",
            text="What does an import into a list with confirmed opt-in do?",
            confidence="assumed",
            source="the vendor's page describes only single adds",
            answers=OPT_IN,
            assumed="active",
            people=1,
            calls=20,
            seconds=5,
            changes="adds one address, which may get a mail, and deletes it from the list",
            why_not=confirmation.why_not_confirmed,
            ask=confirmation.ask_confirmed_opt_in,
            undo=confirmation.undo_confirmation,
        ),
        Question(
            name=UNCONFIRMED_FACT,
            text="Does an import return code 208 for people who have not confirmed their opt-in, and leave them so?",
            confidence="assumed",
            source="the error registry describes the code for adding",
            answers=UNCONFIRMED,
            assumed="by_row",
            fact=UNCONFIRMED_FACT,
            people=2,
            calls=30,
            seconds=5,
            changes="adds two addresses, of which at least one gets a mail, and deletes them from the list",
            why_not=confirmation.why_not_confirmed,
            ask=confirmation.ask_unconfirmed,
            undo=confirmation.undo_confirmation,
        ),
        Question(
            name=REJECTIONS_FACT,
            text="Does an import return codes 204 to 206 row by row, and add none of these people again?",
            confidence="assumed",
            source="the error registry describes these codes for adding; a forum report (8733) agrees. Code 207 is not "
            "tested, because no call makes a person bounced",
            answers=REJECTIONS,
            assumed="by_row",
            fact=REJECTIONS_FACT,
            people=4,
            calls=45,
            seconds=5,
            changes="adds four addresses; deletes, unsubscribes and suppresses one each; takes all of them off the "
            "suppression list and out of the list",
            leaves="one address that is unsubscribed in the client's lists",
            why_not=calls.why_not_ordinary,
            why_unfit=calls.why_suppressed,
            ask=calls.ask_rejections,
            undo=calls.undo_rejections,
        ),
        Question(
            name="email_case",
            text="Is an address in upper case the same subscriber as in lower case?",
            confidence="assumed",
            source="not documented",
            answers=email_case("subscriber", "list"),
            assumed="same",
            fact=EMAIL_CASE_FACT,
            people=1,
            calls=20,
            seconds=5,
            changes="adds one address, and deletes it from the list",
            why_not=calls.why_not_ordinary,
            ask=calls.ask_email_case,
            undo=calls.undo_email_case,
        ),
        Question(
            name="unknown_field",
            text="What does an import do with a custom field that does not exist?",
            confidence="assumed",
            source="createsend-php#59: the field is silently dropped",
            answers=unknown_field("custom field"),
            assumed="ignored",
            people=1,
            calls=15,
            seconds=5,
            changes="adds one address, and deletes it from the list",
            why_not=calls.why_not_ordinary,
            ask=calls.ask_unknown_field,
        ),
        Question(
            name="values",
            text="Do fields of the types Number and Date keep a decimal and a date?",
            confidence="documented",
            source="vendor page (2026-08): dates as yyyy/mm/dd; decimals are not mentioned",
            answers=VALUES,
            assumed="kept",
            people=1,
            calls=25,
            seconds=5,
            changes="adds one address and two custom fields, and deletes all three",
            why_not=calls.why_not_ordinary,
            ask=calls.ask_values,
            undo=calls.undo_values,
        ),
        Question(
            name="rate_headers",
            text="Does a response report the remaining calls?",
            confidence="assumed",
            source="documented only for transactional mail, with X-RateLimit-Reset in seconds",
            answers=RATE_HEADERS,
            assumed="absent",
            people=0,
            calls=1,
            seconds=1,
            ask=calls.ask_rate_headers,
        ),
    ),
)
