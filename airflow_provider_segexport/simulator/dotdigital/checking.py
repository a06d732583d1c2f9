"""Validation of a v3 request before any row is applied: one invalid row rejects the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.wire import BodyError

from .errors import bad_request, v3_refused

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.wire import Call

    from .state import Settings

Row = dict[str, object]

MERGE_OPTIONS = ("overwrite", "overwriteIfNotEmpty", "overwriteIfEmpty")
_MAX_LISTS = 100  # maxItems of `lists`, contacts spec 3.4.3
_CHANNELS = {
    "status": ("subscribed", "unsubscribed", "suppressed"),
    "optintype": ("unknown", "single", "double", "verifieddouble"),
    "emailtype": ("plaintext", "html"),
}


def body_of(call: Call) -> object:
    """Parse the body; reject a body that is not JSON."""
    if call.has_other_type:  # assumed
        raise v3_refused("unsupportedMediaType", "The Content-Type must be application/json", 415)
    try:
        return call.json()
    except BodyError:
        raise v3_refused("badJson", "The request JSON is badly formed") from None


def object_of(call: Call) -> Row:
    """Parse the body; reject a body that is not a JSON object."""
    body = body_of(call)
    if not isinstance(body, dict):
        raise v3_refused("badJson", "The request JSON is badly formed")
    return body


def import_body(call: Call, settings: Settings) -> tuple[str, list[Row]]:
    """Return the merge option and the rows of an import; reject the import if one is invalid."""
    if len(call.body) > settings.max_import_bytes:  # 50 MB: importcontacts page, read 2026-08
        raise v3_refused("requestTooLarge", "The request body exceeds the 50MB limit", 413)
    body = object_of(call)
    option = body.get("mergeOption", MERGE_OPTIONS[0])
    if option not in MERGE_OPTIONS:
        raise bad_request(f"The value '{option}' is invalid for mergeOption", "mergeOption")
    contacts = body.get("contacts")
    if not isinstance(contacts, list) or not contacts:
        raise bad_request("The Contacts field is required", "contacts")
    call.count("rows", len(contacts))
    for number, row in enumerate(contacts):
        check_contact(row, f"contacts[{number}]", match=True)
    return str(option), contacts


def check_contact(row: object, item: str, *, match: bool = False, identified: bool = True) -> None:
    """Reject the call if a contact does not match the schema.

    Args:
        row: the contact.
        item: name of the contact in the error.
        match: require `matchIdentifier`.
        identified: require `identifiers`.
    """
    if not isinstance(row, dict):
        raise bad_request("A contact must be an object", item)
    identifiers = row.get("identifiers")
    if not isinstance(identifiers, dict) and (identified or identifiers is not None):
        # dotdigital-php tests/V3/Integration/ContactImportTest.php, read 2026-08
        raise bad_request("The Identifiers field is required", item)
    if match and not isinstance(row.get("matchIdentifier"), str):
        raise bad_request("The MatchIdentifier field is required", item)
    if not isinstance(row.get("dataFields"), (dict, type(None))):
        raise bad_request("The DataFields field must be an object", item)
    lists = row.get("lists")
    if lists is not None:
        _check_lists(lists, item)
    if row.get("channelProperties") is not None:
        _check_channels(row["channelProperties"], item)


def _check_lists(lists: object, item: str) -> None:
    if not isinstance(lists, list) or not 1 <= len(lists) <= _MAX_LISTS:
        raise bad_request(f"The Lists field takes 1 to {_MAX_LISTS} list ids", item)
    if not all(type(list_id) is int for list_id in lists):
        raise bad_request("A list id must be an integer", item)


def _check_channels(properties: object, item: str) -> None:
    email = properties.get("email") if isinstance(properties, dict) else None
    if not isinstance(properties, dict) or not isinstance(email, (dict, type(None))):
        raise bad_request("The ChannelProperties field must be an object of objects", item)
    for name, value in (email or {}).items():
        options = _CHANNELS.get(name.lower())
        if options and str(value).lower() not in options:
            raise bad_request(f"The value '{value}' is invalid for '{name}'", item)


def email_channel(row: Row) -> Row:
    """Return a contact's properties of the email channel, with lower-case names and values."""
    properties = row.get("channelProperties")
    email = properties.get("email") if isinstance(properties, dict) else None
    if not isinstance(email, dict):
        return {}
    lower = {name.lower(): value for name, value in email.items()}
    return {k: v.lower() if isinstance(v, str) else v for k, v in lower.items()}
