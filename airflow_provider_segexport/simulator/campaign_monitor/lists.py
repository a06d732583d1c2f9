"""Routes of lists, custom fields and the client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import refused
from .state import CustomField, MailingList
from .subscribers import body_of

if TYPE_CHECKING:
    from .state import Account

KINDS = ("Text", "Number", "MultiSelectOne", "MultiSelectMany", "Date", "Country", "USState")
_STATES = (
    ("Active", "TotalActiveSubscribers", "NewActiveSubscribers"),
    ("Unsubscribed", "TotalUnsubscribes", "Unsubscribes"),
    ("Deleted", "TotalDeleted", "Deleted"),
    ("Bounced", "TotalBounces", "Bounces"),
)


def details(_account: Account, source: MailingList, _call: Call) -> Reply:
    """Handle GET /lists/{listid}.json."""
    return Reply.json(
        {
            "ConfirmedOptIn": source.confirmed_opt_in,
            "Title": source.title,
            "UnsubscribePage": source.unsubscribe_page,
            "ListID": source.id,
            "ConfirmationSuccessPage": source.confirmation_page,
            "UnsubscribeSetting": source.unsubscribe_setting,
        }
    )


def stats(account: Account, source: MailingList, call: Call) -> Reply:
    """Handle GET /lists/{listid}/stats.json.

    Args:
        account: the vendor's account.
        source: the list in the path.
        call: the request.
    """
    periods = _periods(call.now, account.settings.utc_offset_minutes)
    shown: dict[str, object] = {}
    moments: dict[str, list[float]] = {state: [] for state, _, _ in _STATES}
    for person in source.subscribers.values():
        if person.state in moments:
            moments[person.state].append(person.changed)
    for state, total, prefix in _STATES:
        shown[total] = source.counts[state]
        for period, (start, end) in periods.items():
            shown[prefix + period] = sum(start <= moment < end for moment in moments[state])
    return Reply.json(shown)


def _periods(now: float, offset: int) -> dict[str, tuple[float, float]]:
    local = datetime.fromtimestamp(now + offset * 60, UTC)
    today = local.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = {
        "Today": today,
        "Yesterday": today - timedelta(days=1),
        "ThisWeek": today - timedelta(days=today.weekday()),
        "ThisMonth": today.replace(day=1),
        "ThisYear": today.replace(month=1, day=1),
    }
    spans = {}
    for name, start in starts.items():
        end = today if name == "Yesterday" else today + timedelta(days=1)
        spans[name] = (start.timestamp() - offset * 60, end.timestamp() - offset * 60)
    return spans


def names(account: Account, _call: Call) -> Reply:
    """Handle GET /clients/{clientid}/lists.json."""
    lists = account.client.lists.values()
    return Reply.json([{"ListID": mailing_list.id, "Name": mailing_list.title} for mailing_list in lists])


def create(account: Account, call: Call) -> Reply:
    """Handle POST /lists/{clientid}.json."""
    body = body_of(call)
    title = str(body.get("Title") or "").strip()
    if not title:
        raise refused(251)
    if any(mailing_list.title == title for mailing_list in account.client.lists.values()):
        raise refused(250)
    setting = body.get("UnsubscribeSetting") or "AllClientLists"
    if setting not in ("AllClientLists", "OnlyThisList"):
        raise refused(261)
    new_list = MailingList(account.ids.hex(32), title, confirmed_opt_in=body.get("ConfirmedOptIn") is True)
    new_list.unsubscribe_page = str(body.get("UnsubscribePage") or "")
    new_list.confirmation_page = str(body.get("ConfirmationSuccessPage") or "")
    new_list.unsubscribe_setting = str(setting)
    account.client.lists[new_list.id] = new_list
    return Reply.json(new_list.id, 201)


def delete(account: Account, source: MailingList, call: Call) -> Reply:
    """Handle DELETE /lists/{listid}.json: delete the list with all its people.

    Args:
        account: the vendor's account.
        source: the list in the path.
        call: the request.
    """
    call.note(f"list {source.title!r} deleted with {counted(len(source.subscribers), 'person')}")
    call.count("lists_deleted")
    del account.client.lists[source.id]
    return Reply()


def custom_fields(_account: Account, source: MailingList, _call: Call) -> Reply:
    """Handle GET /lists/{listid}/customfields.json."""
    return Reply.json(
        [
            {
                "FieldName": field.name,
                "Key": f"[{field.bare}]",
                "DataType": field.kind,
                "FieldOptions": list(field.options),
                "VisibleInPreferenceCenter": field.visible,
            }
            for field in source.fields.values()
        ]
    )


def create_field(_account: Account, source: MailingList, call: Call) -> Reply:
    """Handle POST /lists/{listid}/customfields.json; the reply is the new key as a JSON string."""
    body = body_of(call)
    name = str(body.get("FieldName") or "").strip()
    kind = str(body.get("DataType") or "")
    options = body.get("Options") or []
    if not name:
        raise refused(254)
    if kind not in KINDS:
        raise refused(259)
    if not isinstance(options, list) or bool(options) != kind.startswith("MultiSelect"):
        raise refused(256 if options else 257)
    visible = body.get("VisibleInPreferenceCenter") is not False
    field = CustomField(name, kind, tuple(map(str, options)), visible)
    if field.bare.lower() in {bare.lower() for bare in source.fields}:
        raise refused(255)
    source.add_field(field)
    return Reply.json(f"[{field.bare}]", 201)


def delete_field(_account: Account, source: MailingList, call: Call) -> Reply:
    """Handle DELETE /lists/{listid}/customfields/{key}.json."""
    key = call.params["key"]
    if not (key.startswith("[") and key.endswith("]")):
        raise refused(253)
    if key[1:-1] not in source.fields:
        raise refused(253)
    source.drop_field(key[1:-1])
    call.count("fields_deleted")
    return Reply()


def client(account: Account, _call: Call) -> Reply:
    """Handle GET /clients/{clientid}.json."""
    minutes = account.settings.utc_offset_minutes
    zone = f"(GMT{minutes // 60:+03d}:{minutes % 60:02d}) Example" if minutes else "(GMT) London"
    return Reply.json(
        {
            "ApiKey": account.client.api_key,
            "BasicDetails": {
                "ClientID": account.client.id,
                "CompanyName": account.client.name,
                "Country": "United Kingdom",
                "TimeZone": zone,
            },
        }
    )


def holding(account: Account, call: Call) -> Reply:
    """Handle GET /clients/{clientid}/listsforemail.json."""
    email = call.query.get("email", "").lower()
    records = ((mailing_list, mailing_list.subscribers.get(email)) for mailing_list in account.client.lists.values())
    return Reply.json(
        [
            {
                "ListID": mailing_list.id,
                "ListName": mailing_list.title,
                "SubscriberState": person.state,
                "DateSubscriberAdded": account.date(person.joined),
            }
            for mailing_list, person in records
            if person
        ]
    )
