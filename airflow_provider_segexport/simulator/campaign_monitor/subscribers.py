"""The routes that change people: import, add, update, delete, unsubscribe, suppress."""

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
MOST_ROWS = 1000
INACTIVE = frozenset({204, 205, 206, 207, 208})


def body_of(call: Call) -> Row:
    """Read an object from the body, or refuse it as the vendor does."""
    try:
        return call.json_object()
    except BodyError:
        raise refused(400) from None


def present(account: Account, source: MailingList, email: str) -> Subscriber:
    """Return the person of that address, or refuse with 203."""
    subscriber = source.subscribers.get(account.key(email))
    if subscriber is None or subscriber.state == "Deleted":
        raise refused(203)
    return subscriber


def load(account: Account, target: MailingList, call: Call) -> Reply:
    """Answer POST /subscribers/{listid}/import.json."""
    body = body_of(call)
    given = body.get("Subscribers")
    if not isinstance(given, list):
        raise refused(400)
    call.count("rows", len(given))
    if not given:
        raise refused(212)
    if len(given) > MOST_ROWS:
        raise refused(209)
    rows = check_rows(given)
    switches = {name.lower(): value is True for name, value in body.items()}
    flags = Flags(
        resubscribe=switches.get("resubscribe", False),
        queue_autoresponders=switches.get("queuesubscriptionbasedautoresponders", False),
        restart_autoresponders=switches.get("restartsubscriptionbasedautoresponders", False),
        confirm=account.settings.import_sends_confirmation and target.confirmed_opt_in,
    )
    unique, twice = _unique(rows, first=account.settings.duplicates == "first")
    importer = Importer(account, target, flags, call.now)
    mailed = target.mails.total()
    failures = []
    for row in unique.values():
        code = importer.take(row)
        if code and account.settings.inactive_rows == "whole_batch" and code in INACTIVE:
            raise refused(400)
        if code and not (account.settings.inactive_rows == "silent" and code in INACTIVE):
            email = row.get("EmailAddress") or ""
            failures.append({"EmailAddress": email, "Code": code, "Message": MESSAGES[code]})
    _tell(call, importer, len(failures), target.mails.total() - mailed)
    result = {
        "FailureDetails": failures,
        "TotalUniqueEmailsSubmitted": len(unique),
        "TotalExistingSubscribers": importer.existing,
        "TotalNewSubscribers": importer.new,
        "DuplicateEmailsInSubmission": twice,
    }
    if failures:  # 400/210 means that the others were imported; createsend fixtures, read 2026-08
        partial = {"ResultData": result, "Code": 210, "Message": MESSAGES[210]}
        return Reply.json(partial, 400)
    return Reply.json(result, 201)


def _unique(rows: list[Row], *, first: bool) -> tuple[dict[str, Row], list[str]]:
    """Split off repeated addresses; which copy wins is not stated by the vendor."""
    unique: dict[str, Row] = {}
    twice: dict[str, str] = {}
    for number, row in enumerate(rows):
        email = row.get("EmailAddress")
        key = email.lower() if isinstance(email, str) else f"#{number}"
        if key in unique:
            twice[key] = str(email)
            if first:
                continue
        unique[key] = row
    return unique, list(twice.values())


def _tell(call: Call, importer: Importer, failures: int, mails: int) -> None:
    """Write into the request log what the reply does not say."""
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
    """Answer POST /subscribers/{listid}.json; the real vendor queues, here it is done at once."""
    (row,) = check_rows([body_of(call)])
    call.count("rows")
    _need_consent(row)
    flags = Flags(
        resubscribe=row.get("Resubscribe") is True,
        queue_autoresponders=True,
        restart_autoresponders=row.get("RestartSubscriptionBasedAutoresponders") is True,
        confirm=target.confirmed_opt_in,  # single adds send a verification mail; vendor page
    )
    mailed = target.mails.total()
    importer = Importer(account, target, flags, call.now)
    code = importer.take(row)
    _tell(call, importer, bool(code), target.mails.total() - mailed)
    return error(code) if code else Reply.json(row.get("EmailAddress"), 201)


def _need_consent(row: Row) -> None:
    # Mandatory for single add and update since v3.2; createsend-python HISTORY, read 2026-08.
    if row.get("ConsentToTrack") is None:
        raise refused(214)


def update(account: Account, target: MailingList, call: Call) -> Reply:
    """Answer PUT /subscribers/{listid}.json, which may also change the address."""
    (row,) = check_rows([body_of(call)])
    _need_consent(row)
    person = present(account, target, call.query.get("email", ""))
    wanted = row.get("EmailAddress")
    if isinstance(wanted, str) and wanted.lower() != person.email.lower():
        if not is_email(wanted):
            raise refused(1)
        if wanted.lower() in target.subscribers:
            raise refused(201)
        del target.subscribers[person.email.lower()]
        person.history += ((call.now, f"address changed from {person.email}"),)
        person.email = wanted
        target.subscribers[wanted.lower()] = person
    flags = Flags(resubscribe=row.get("Resubscribe") is True)
    importer = Importer(account, target, flags, call.now)
    code = importer.take(row | {"EmailAddress": person.email})
    _tell(call, importer, bool(code), 0)
    return error(code) if code else Reply()


def delete(account: Account, target: MailingList, call: Call) -> Reply:
    """Answer DELETE /subscribers/{listid}.json: Deleted in this list, nothing else."""
    person = present(account, target, call.query.get("email", ""))
    if person.state != "Active":
        call.note(f"deleted a person who was {person.state}: that state is lost")
    target.move(person, "Deleted", call.now, f"deleted, was {person.state.lower()}")
    call.count("deleted")
    return Reply()


def unsubscribe(account: Account, target: MailingList, call: Call) -> Reply:
    """Answer POST /subscribers/{listid}/unsubscribe.json."""
    email = str(body_of(call).get("EmailAddress", ""))
    present(account, target, email)
    lists = [target]
    if target.unsubscribe_setting == "AllClientLists":
        lists = list(account.client.lists.values())
        account.client.suppress(email, "Unsubscribed", call.now)
    for held in lists:
        person = held.subscribers.get(account.key(email))
        if person and person.state in ("Active", "Unconfirmed"):
            held.move(person, "Unsubscribed", call.now, "unsubscribed through the API")
    call.count("unsubscribed")
    return Reply()


def suppress(account: Account, call: Call) -> Reply:
    """Answer POST /clients/{clientid}/suppress.json."""
    emails = body_of(call).get("EmailAddresses")
    if not isinstance(emails, list):
        raise refused(400)
    for email in emails:
        account.client.suppress(str(email), "Admin", call.now)
    call.count("suppressed", len(emails))
    return Reply()


def unsuppress(account: Account, call: Call) -> Reply:
    """Answer PUT /clients/{clientid}/unsuppress.json."""
    if not account.client.unsuppress(call.query.get("email", "")):
        raise refused(176)
    call.count("unsuppressed")
    return Reply()
