"""Helpers that all vendors share: requests, typed access to responses, retry hints."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NoReturn

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import (
    RateLimited,
    RetryableError,
    UnexpectedResponse,
    VendorUnavailable,
    public_code,
)
from airflow_provider_segexport.model import Batch, Request, Response
from airflow_provider_segexport.vendors.delays import date_to_epoch_s, is_too_long, seconds_until

JSON_HEADERS = {"content-type": "application/json; charset=utf-8", "accept": "application/json"}
REQUEST_TIMEOUT = 408
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
NOT_IMPLEMENTED = 501
DEFAULT_TOKEN_LIFETIME_S = 3_600.0
"""Assumed lifetime of an access token in seconds, if the response names none."""


def get(url: str, **query: str) -> Request:
    """Return a GET request."""
    return Request("GET", url, query=query, headers={"accept": "application/json"})


def send_json(method: str, url: str, value: Any) -> Request:
    """Return a request with a small JSON body.

    Args:
        method: HTTP method.
        url: absolute URL.
        value: the value that is encoded as the JSON body.
    """
    return Request(method, url, headers=JSON_HEADERS, body=json.dumps(value, separators=(",", ":")).encode())


def send_batch(method: str, url: str, prefix: str, batch: Batch, suffix: str) -> Request:
    """Return a request whose body is a batch's items, joined with commas, between a prefix and a suffix.

    Args:
        method: HTTP method.
        url: absolute URL.
        prefix: JSON text before the first item.
        batch: the batch, whose items are already encoded.
        suffix: JSON text after the last item.
    """
    joined = ",".join(batch.items).encode() if batch.joined_items is None else batch.joined_items()
    return Request(method, url, headers=JSON_HEADERS, body=b"".join((prefix.encode(), joined, suffix.encode())))


def number_header(headers: Mapping[str, str], name: str) -> float | None:
    """Return a header as a finite number of at least 0; None if it is absent or something else."""
    try:
        value = float(headers[name])
    except (KeyError, ValueError):
        return None
    return value if 0 <= value < math.inf else None


def wait_header(headers: Mapping[str, str], name: str, now: float) -> float | None:
    """Return the seconds from now until the time in a header.

    Args:
        headers: names in lower case.
        name: the header; its value is a duration, an epoch time or a date.
        now: current time in epoch seconds, by this machine's clock.

    Returns:
        None if the header is absent or cannot be parsed.
    """
    return wait_of(headers[name], headers, now) if name in headers else None


def wait_of(text: str, headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until a time in a response by the vendor's clock, because this machine's clock may be wrong.

    Args:
        text: a duration, an epoch time or a date.
        headers: the response's, with names in lower case.
        now: current time in epoch seconds, by this machine's clock. It is used if the response has no `Date`, or if its
            `Date` makes the wait too long, as in a cached page.

    Returns:
        None if the text cannot be parsed.
    """
    seconds = seconds_until(text, vendor_time(headers, now))
    return seconds_until(text, now) if is_too_long(seconds) else seconds


def vendor_time(headers: Mapping[str, str], now: float) -> float:
    """Return the time of a response by the vendor's clock, in epoch seconds.

    Args:
        headers: names in lower case.
        now: current time in epoch seconds, by this machine's clock; returned if there is no usable `Date` header.
    """
    moment_s = date_to_epoch_s(headers.get("date", ""))
    return now if moment_s is None else moment_s


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return `Retry-After` in seconds from now; None if it is absent or cannot be parsed."""
    return wait_header(headers, "retry-after", now)


def token_lifetime_s(token: Mapping[str, Any]) -> float:
    """Return `expires_in` of a token response in seconds; `DEFAULT_TOKEN_LIFETIME_S` if it is not a number.

    A missing lifetime is not an error, because the vendor has already revoked the refresh token of the request.
    """
    value = token.get("expires_in")
    seconds = seconds_until(str(value), 0.0) if isinstance(value, int | float | str) else None
    return DEFAULT_TOKEN_LIFETIME_S if seconds is None else seconds


def retry_hint_from_status(response: Response, retry_after_s: float | None, now: float) -> RetryableError | None:
    """Return the error to raise if the status asks to retry later: 408, 429, and 5xx except 501.

    Args:
        response: any response of the vendor.
        retry_after_s: seconds to wait, from a vendor-specific header; None to read `Retry-After`.
        now: current time in epoch seconds.
    """
    if retry_after_s is None:
        retry_after_s = retry_after(response.headers, now)
    if response.status == TOO_MANY_REQUESTS:
        return RateLimited(f"{response.url} answered 429: too many calls.", retry_after_s=retry_after_s)
    is_server_error = response.status >= SERVER_ERROR and response.status != NOT_IMPLEMENTED
    if response.status == REQUEST_TIMEOUT or is_server_error:
        return VendorUnavailable(f"{response.url} answered {response.status}.", retry_after_s=retry_after_s)
    return None


def required(body: Any, name: str) -> str:
    """Return a member that the run needs, for example a token or a state.

    Raises:
        UnexpectedResponse: the member is absent, null, empty, or neither a string nor a whole number.
    """
    value = body.get(name) if isinstance(body, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise _unusable(f"member {name!r}", value)
    return str(value)


ID_TEXT = re.compile(r"[\w.~-]{1,100}", re.ASCII)
"""Form of an id that needs no escapes in a URL."""
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""Form of most job ids."""
DIGITS = re.compile(r"[1-9][0-9]{0,18}")
"""Form of numeric ids, which a response may also write as strings."""


def required_id(body: Any, name: str, form: re.Pattern[str] = ID_TEXT) -> str:
    """Return the id of a job or a contact.

    The form is checked because the run stores the id, so every retry would use an invalid id again.

    Args:
        body: the decoded response, of any type.
        name: the member that holds the id.
        form: pattern that must match the entire id.

    Raises:
        UnexpectedResponse: the id is absent, or does not match.
    """
    value = body.get(name) if isinstance(body, dict) else None
    identifier = id_of(value, form)
    if not identifier:
        raise _unusable(f"id {name!r}", value)
    return identifier


def id_of(value: Any, form: re.Pattern[str] = ID_TEXT) -> str:
    """Return an optional id; empty if it does not match the form. Only an id of the form `DIGITS` may be a number."""
    if form is DIGITS and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and form.fullmatch(value) else ""


def required_list(value: Any, name: str) -> list[dict[str, Any]]:
    """Return the objects of a list that the run needs, for example of contacts.

    Raises:
        UnexpectedResponse: the value is not a list, or an element is not an object.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _unusable(f"list {name!r}", value)
    return value


def _unusable(member: str, value: Any) -> UnexpectedResponse:
    """Return the error for an unusable member. It does not quote the value, which may be personal data."""
    kind = "absent or null" if value is None else f"of another kind or form ({type(value).__name__})"
    return UnexpectedResponse(
        f"In a response of the vendor, the {member} is {kind}, but the run needs it. To fix: run the task again "
        "later; if the error remains, report it to the vendor's support."
    )


def as_text(value: Any) -> str:
    """Return an optional member as a string; empty if it is neither a string nor a number."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def as_int(value: Any) -> int | None:
    """Return an optional member as an integer; None if it is not an integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_object(value: Any) -> dict[str, Any]:
    """Return an optional member as an object; empty if it is not an object."""
    return value if isinstance(value, dict) else {}


def as_objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of an optional list; empty if it is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def index_by_email(batch: Batch) -> dict[str, int]:
    """Return each row's index in the batch, by normalised address, because vendors change the case of addresses."""
    return dict(zip(map(canonical, batch.emails), count()))


def describe(title: str, response: Response, code: object) -> str:
    """Return the start of an error message: vendor, status and error code, without the vendor's own text.

    Args:
        title: the vendor's title.
        response: the unexpected response.
        code: the vendor's error code; a false value if there is none.
    """
    suffix = f" (error code {public_code(code)})" if code else ""
    return f"{title} answered {response.status}{suffix}"


def unexpected_response(title: str, response: Response, code: object) -> UnexpectedResponse:
    """Return the error for a response that the vendor's `raise_for` has no rule for.

    Args:
        title: the vendor's title.
        response: the unexpected response.
        code: the vendor's error code; a false value if there is none.
    """
    return UnexpectedResponse(
        f"{describe(title, response, code)}, to {response.url}. To fix: look up status and error code in the "
        "vendor's API documentation, or ask its support."
    )


def not_ended(title: str) -> VendorUnavailable:
    """Return the error for a job that still runs according to its result, although a poll has shown that it has ended.

    Two servers of the vendor may know different states. The next attempt polls the job again.
    """
    return VendorUnavailable(
        f"{title} has reported that a job had ended, and then that it still runs. To fix: run the task again later."
    )


def make_reader(raise_for: Callable[[Response], NoReturn]) -> Callable[..., Any]:
    """Return a vendor's `read_json`, given the vendor's function that raises for an error response."""

    def read_json(response: Response, *expected: int) -> Any:
        """Return the JSON of a response with an expected status, by default 200; raise for any other."""
        if response.status not in (expected or (200,)):
            raise_for(response)
        return response.json()

    return read_json
