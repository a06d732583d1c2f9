"""Campaign Monitor's error bodies: `{"Code": .., "Message": ..}`."""

from __future__ import annotations

from airflow_provider_segexport.simulator.wire import RefusedError, Reply

# Error registry of the v3.3 pages, read 2026-11; the wording of 101 is from createsend-ruby#44.
MESSAGES = {
    1: "Invalid Email Address",
    5: "Invalid Date",
    60: "You do not have the required permission to access this resource",
    100: "Invalid API Key",
    101: "Invalid ListID",
    102: "Invalid ClientID",
    120: "Invalid OAuth Token",
    121: "Expired OAuth Token",
    122: "Revoked OAuth Token",
    176: "Email address not in suppression list",
    201: "Already subscribed",
    203: "Subscriber Not In List",
    204: "In Suppression List",
    205: "Is Deleted",
    206: "Is Unsubscribed",
    207: "Is Bounced",
    208: "Is Unconfirmed",
    209: ("Too many subscribers in this batch. You can only add 1000 subscribers in one call"),
    210: "Subscriber Import had some failures",
    211: "Invalid New Email Address",
    212: "No subscribers were provided in this batch",
    214: "Please provide a consent to track value",
    215: "Please provide a valid consent to track value",
    220: "Invalid mobile number",
    221: "Invalid email address and mobile number",
    250: "Duplicate list title",
    251: "List Title Empty",
    253: "Invalid Key. Keys must be surrounded with [ ]",
    254: "Invalid Field Name",
    255: "The Field Name already exists in this list",
    256: "Options defined for Text or Number Field",
    257: "No options defined for Multi-Valued field",
    259: "Data type is incorrect",
    261: "Invalid List Unsubscribe Setting",
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
