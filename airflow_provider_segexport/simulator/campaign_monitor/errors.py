"""Campaign Monitor's error bodies: `{"Code": .., "Message": ..}`."""

from __future__ import annotations

from airflow_provider_segexport.simulator.wire import RefusedError, Reply

# Error registry of the v3.3 pages, read 2026-08; the wording of 101 is from createsend-ruby#44.
MESSAGES = {
    1: "Invalid Email Address",
    5: "Invalid Date",
    60: "You do not have the required permission",
    100: "Invalid API Key",
    101: "Invalid ListID",
    102: "Invalid ClientID",
    120: "Invalid OAuth Token",
    121: "Expired OAuth Token",
    122: "Revoked OAuth Token",
    176: "Email address not in suppression list",
    201: "Email Address Already Exists",
    203: "Subscriber Not In List",
    204: "In Suppression List",
    205: "Is Deleted",
    206: "Is Unsubscribed",
    207: "Is Bounced",
    208: "Is Unconfirmed",
    209: ("Too many subscribers in this batch. You can only add 1000 subscribers in one call"),
    210: "Subscriber Import had some failures",
    212: "No subscribers were submitted",
    214: "ConsentToTrack is required",
    215: "ConsentToTrack is invalid",
    250: "List title must be unique within a client",
    251: "List title is empty",
    253: "Keys must be surrounded with [ ]",
    254: "Invalid custom field name",
    255: "Custom field name already exists",
    256: "Custom field options are required",
    259: "Invalid custom field type",
    400: (
        "Failed to deserialize your request. Please check the documentation and try again. Fields in error: subscriber"
    ),
    404: "The resource was not found. Please check the documentation and try again",
    429: "Rate limit exceeded",
    800: "Invalid page number",
    801: "Invalid page size",
    802: "Invalid order field",
    803: "Invalid order direction",
}


def error(code: int, status: int = 400, headers: dict[str, str] | None = None) -> Reply:
    """Build the reply of one of the vendor's errors.

    Args:
        code: the vendor's error code, a key of `MESSAGES`.
        status: HTTP status.
        headers: additional headers.
    """
    return Reply.json({"Code": code, "Message": MESSAGES[code]}, status, headers)


def refused(code: int, status: int = 400, headers: dict[str, str] | None = None) -> RefusedError:
    """Return the exception that rejects a call with one of the vendor's errors.

    Args:
        code: the vendor's error code, a key of `MESSAGES`.
        status: HTTP status.
        headers: additional headers.
    """
    return RefusedError(error(code, status, headers))
