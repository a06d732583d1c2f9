"""Routes that change people: import, add, update, delete, unsubscribe, suppress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.simulator.people import is_email
from airflow_provider_segexport.simulator.wire import BodyError, Call, Reply

from .errors import MESSAGES, error, refused
from .importing import Flags, Importer, Row, check_rows

if TYPE_CHECKING:
    from .state import Account, MailingList, Subscriber

# 400/209 above 1000 rows, 400/212 for none; error registry of the v3.3 pages, read 2026-08.
MAX_ROWS = 1000
INACTIVE = frozenset({204, 205, 206, 207})
UNCONFIRMED = 208


def body_of(call: Call) -> Row:
    """Return the body's object; reject a body that is not a JSON object."""
    try:
        return call.json_object()
    except BodyError:
        raise refused(400) from None


def check_address(email: str) -> None:
    """Reject the call with 1 for an address that is missing or invalid (error registry, area subscribers)."""
    if not is_email(email):
        raise refused(1)


def present(account: Account, source: MailingList, email: str) -> Subscriber:
    """Return the person with this address; reject the call with 1 for an invalid address, 203 if there is none.

    Args:
        account: the vendor's account.
        source: the list.
        email: the address.
    """
    check_address(email)
    subscriber = source.subscribers.get(account.key(email))
    if subscriber is None or subscriber.state == "Deleted":
        raise refused(203)
    return subscriber


def load(account: Account, target: MailingList, call: Call) -> Reply:
    """Handle POST /subscribers/{listid}/import.json.

    Args:
        account: the vendor's account.
        target: the list in the path.
        call: the request.
    """
    body = body_of(call)
    submitted = body.get("Subscribers")
    if not isinstance(submitted, list):
        raise refused(400)
    call.count("rows", len(submitted))
    if not submitted:
        raise refused(212)
    if len(submitted) > MAX_ROWS:
        raise refused(209)
    rows = check_rows(submitted)
    switches = {name.lower(): value is True for name, value in body.items()}
    flags = Flags(
        resubscribe=switches.get("resubscribe", False),
        queue_autoresponders=switches.get("queuesubscriptionbasedautoresponders", False),
        restart_autoresponders=switches.get("restartsubscriptionbasedautoresponders", False),
        confirm=account.settings.import_sends_confirmation and target.confirmed_opt_in,
    )
    unique, duplicates = _unique(rows, first=account.settings.duplicates == "first")
    importer = Importer(account, target, flags, call.now)
    mails_before = target.mails.total()
    failures = []
    for row in unique.values():
        code = importer.apply(row)
        rule = _rule_for(account, code)
        if rule == "whole_batch":
            raise refused(400)
        if code and rule != "silent":
            email = row.get("EmailAddress") or ""
            failures.append({"EmailAddress": email, "Code": code, "Message": MESSAGES[code]})
    _log_counts(call, importer, len(failures), target.mails.total() - mails_before)
    result = {
        "FailureDetails": failures,
        "TotalUniqueEmailsSubmitted": len(unique),
        "TotalExistingSubscribers": importer.existing,
        "TotalNewSubscribers": importer.new,
        "DuplicateEmailsInSubmission": duplicates,
    }
    if failures:  # 400 with code 210: the other rows were imported; createsend fixtures, read 2026-08
        partial = {"ResultData": result, "Code": 210, "Message": MESSAGES[210]}
        return Reply.json(partial, 400)
    return Reply.json(result, 201)


def _rule_for(account: Account, code: int) -> str:
    """Return the setting for rows that are rejected with the code; empty if there is none."""
    if code == UNCONFIRMED:
        return account.settings.unconfirmed_rows
    return account.settings.inactive_rows if code in INACTIVE else ""


def _unique(rows: list[Row], *, first: bool) -> tuple[dict[str, Row], list[str]]:
    """Return one row for each address, and the repeated addresses. The vendor does not state which copy is used."""
    unique: dict[str, Row] = {}
    duplicates: dict[str, str] = {}
    for number, row in enumerate(rows):
        email = row.get("EmailAddress")
        key = email.lower() if isinstance(email, str) else f"#{number}"
        if key in unique:
            duplicates[key] = str(email)
            if first:
                continue
        unique[key] = row
    return unique, list(duplicates.values())


def _log_counts(call: Call, importer: Importer, failures: int, mails: int) -> None:
    """Write counts, dropped fields and skipped values into the request log; the reply does not report them."""
    for what, number in (
        ("new", importer.new),
        ("existing", importer.existing),
        ("failures", failures),
        ("resubscribed", importer.resubscribed),
        ("mails", mails),
    ):
        if number:
            call.count(what, number)
    for key, number in importer.unknown_keys.items():
        call.note(f"unknown custom field {key!r} dropped in {counted(number, 'row')}")
    for key, number in importer.bad_values.items():
        call.note(f"value of custom field {key!r} ignored in {counted(number, 'row')}: not of its type")


def add(account: Account, target: MailingList, call: Call) -> Reply:
    """Handle POST /subscribers/{listid}.json; the real vendor queues the row, the simulator applies it at once.

    Args:
        account: the vendor's account.
        target: the list in the path.
        call: the request.
    """
    (row,) = check_rows([body_of(call)])
    call.count("rows")
    _need_consent(row)
    flags = Flags(
        resubscribe=row.get("Resubscribe") is True,
        queue_autoresponders=True,
        restart_autoresponders=row.get("RestartSubscriptionBasedAutoresponders") is True,
        confirm=target.confirmed_opt_in,  # single adds send a verification mail; vendor page
    )
    mails_before = target.mails.total()
    importer = Importer(account, target, flags, call.now)
    code = importer.apply(row)
    _log_counts(call, importer, bool(code), target.mails.total() - mails_before)
    return error(code) if code else Reply.json(row.get("EmailAddress"), 201)


def _need_consent(row: Row) -> None:
    # `ConsentToTrack` is mandatory for single add and update since v3.2; createsend-python HISTORY, read 2026-08.
    if row.get("ConsentToTrack") is None:
        raise refused(214)


def update(account: Account, target: MailingList, call: Call) -> Reply:
    """Handle PUT /subscribers/{listid}.json, which can also change the address.

    Args:
        account: the vendor's account.
        target: the list in the path.
        call: the request.
    """
    (row,) = check_rows([body_of(call)])
    _need_consent(row)
    person = present(account, target, call.query.get("email", ""))
    wanted = row.get("EmailAddress")
    if isinstance(wanted, str) and wanted.lower() != person.email.lower():
        if not is_email(wanted):
            raise refused(211)
        if wanted.lower() in target.subscribers:
            raise refused(201)
        del target.subscribers[person.email.lower()]
        person.history += ((call.now, f"address changed from {person.email}"),)
        person.email = wanted
        target.subscribers[wanted.lower()] = person
    flags = Flags(resubscribe=row.get("Resubscribe") is True)
    importer = Importer(account, target, flags, call.now)
    code = importer.apply(row | {"EmailAddress": person.email})
    _log_counts(call, importer, bool(code), 0)
    return error(code) if code else Reply()


def delete(account: Account, target: MailingList, call: Call) -> Reply:
    """Handle DELETE /subscribers/{listid}.json: the person becomes Deleted in this list; other lists are unchanged.

    Args:
        account: the vendor's account.
        target: the list in the path.
        call: the request.
    """
    person = present(account, target, call.query.get("email", ""))
    if person.state != "Active":
        call.note(f"deleted a person who was {person.state}: that state is lost")
    target.move(person, "Deleted", call.now, f"deleted, was {person.state.lower()}")
    call.count("deleted")
    return Reply()


def unsubscribe(account: Account, target: MailingList, call: Call) -> Reply:
    """Handle POST /subscribers/{listid}/unsubscribe.json.

    Args:
        account: the vendor's account.
        target: the list in the path.
        call: the request.
    """
    email = str(body_of(call).get("EmailAddress", ""))
    present(account, target, email)
    lists = [target]
    if target.unsubscribe_setting == "AllClientLists":
        lists = list(account.client.lists.values())
        account.client.suppress(email, "Unsubscribed", call.now)
    for mailing_list in lists:
        person = mailing_list.subscribers.get(account.key(email))
        if person and person.state in ("Active", "Unconfirmed"):
            mailing_list.move(person, "Unsubscribed", call.now, "unsubscribed through the API")
    call.count("unsubscribed")
    return Reply()


def suppress(account: Account, call: Call) -> Reply:
    """Handle POST /clients/{clientid}/suppress.json."""
    emails = body_of(call).get("EmailAddresses")
    if not isinstance(emails, list):
        raise refused(400)
    for email in emails:
        account.client.suppress(str(email), "Admin", call.now)
    call.count("suppressed", len(emails))
    return Reply()


def unsuppress(account: Account, call: Call) -> Reply:
    """Handle PUT /clients/{clientid}/unsuppress.json."""
    if not account.client.unsuppress(call.query.get("email", "")):
        raise refused(176)
    call.count("unsuppressed")
    return Reply()
