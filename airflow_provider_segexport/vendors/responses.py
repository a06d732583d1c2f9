"""Reading replies: what every vendor's operations share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NoReturn

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.errors import (
    RateLimited,
    RetryableError,
    UnexpectedResponse,
    VendorUnavailable,
    public_code,
)
from airflow_provider_segexport.model import Batch, Request, Response
from airflow_provider_segexport.vendors.delays import seconds_until

JSON = {"content-type": "application/json; charset=utf-8", "accept": "application/json"}
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
NOT_IMPLEMENTED = 501
DEFAULT_TOKEN_LIFETIME_S = 3_600.0
"""How long an access token is taken to hold that comes without a lifetime, in seconds."""


def get(url: str, **query: str) -> Request:
    """A read."""
    return Request("GET", url, query=query, headers={"accept": "application/json"})


def send_json(method: str, url: str, value: Any) -> Request:
    """A call with a small JSON body."""
    return Request(method, url, headers=JSON, body=json.dumps(value, separators=(",", ":")).encode())


def send_batch(method: str, url: str, head: str, batch: Batch, tail: str) -> Request:
    """A call whose body is the batch's ready-made items between a head and a tail."""
    as_objects = ",".join(batch.items).encode() if batch.joined_items is None else batch.joined_items()
    return Request(method, url, headers=JSON, body=b"".join((head.encode(), as_objects, tail.encode())))


def number_header(headers: Mapping[str, str], name: str) -> float | None:
    """A header that holds a number from 0; None when it is absent or holds something else."""
    try:
        found = float(headers[name])
    except (KeyError, ValueError):
        return None
    return found if 0 <= found < math.inf else None


def wait_header(headers: Mapping[str, str], name: str, now: float) -> float | None:
    """Seconds from now that a header asks to wait, written as a span, an epoch time or a date; None if unreadable."""
    return seconds_until(headers[name], now) if name in headers else None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """`Retry-After` in seconds; it may be written as a date."""
    return wait_header(headers, "retry-after", now)


def token_lifetime_s(told: Mapping[str, Any]) -> float:
    """Return how long an access token holds, in seconds; an hour where the reply does not say so in a number.

    The refresh token of the call is void by now, so a reply is never refused for it.
    """
    value = told.get("expires_in")
    seconds = seconds_until(str(value), 0.0) if isinstance(value, int | float | str) else None
    return DEFAULT_TOKEN_LIFETIME_S if seconds is None else seconds


def retry_hint_from_status(response: Response, after: float | None, now: float) -> RetryableError | None:
    """The replies by which any HTTP API asks to come back: 408, 429 and 5xx but 501."""
    if after is None:
        after = retry_after(response.headers, now)
    if response.status == TOO_MANY_REQUESTS:
        return RateLimited(f"{response.url} answered 429: too many calls.", retry_after_s=after)
    if response.status == 408 or (response.status >= SERVER_ERROR and response.status != NOT_IMPLEMENTED):  # noqa: PLR2004 - HTTP's own numbers
        return VendorUnavailable(f"{response.url} answered {response.status}.", retry_after_s=after)
    return None


def required(body: Any, name: str) -> str:
    """Return a member that the run cannot do without: an id, a token, a state.

    Raises:
        UnexpectedResponse: it is absent, null, empty, or neither a text nor a whole number.
    """
    value = body.get(name) if isinstance(body, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise _unusable(f"member {name!r}", value)
    return str(value)


ID_TEXT = re.compile(r"[\w.~-]{1,100}", re.ASCII)
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
DIGITS = re.compile(r"[1-9][0-9]{0,18}")
"""Forms of ids: a text that stands in an address as it is; the form of most jobs; numbers, also written as texts."""


def required_id(body: Any, name: str, form: re.Pattern[str] = ID_TEXT) -> str:
    """Return the id of a job or a contact. One that is none would be kept, and asked for by every retry.

    Raises:
        UnexpectedResponse: it is absent, or has not the form.
    """
    value = body.get(name) if isinstance(body, dict) else None
    found = id_of(value, form)
    if not found:
        raise _unusable(f"id {name!r}", value)
    return found


def id_of(value: Any, form: re.Pattern[str] = ID_TEXT) -> str:
    """Return an id that may be absent; empty if it has not the form. Only an id of digits may be a number."""
    if form is DIGITS and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and form.fullmatch(value) else ""


def required_list(value: Any, name: str) -> list[dict[str, Any]]:
    """Return the objects of a list that is the answer itself: without it, nothing is known of the people in it.

    Raises:
        UnexpectedResponse: it is absent, null or no list, or holds something that is no object.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _unusable(f"list {name!r}", value)
    return value


def _unusable(what: str, value: Any) -> UnexpectedResponse:
    """The value is not shown, because it may be a person's."""
    kind = "absent or null" if value is None else f"of another kind or form ({type(value).__name__})"
    return UnexpectedResponse(
        f"In a response of the vendor, the {what} is {kind}, and the run cannot do without it. To fix: run the task "
        "again later; if the response stays so, tell the vendor's support."
    )


def as_text(value: Any) -> str:
    """Return a member that may be absent or null as a text; empty if it is neither a text nor a number."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def as_int(value: Any) -> int | None:
    """Return a member that may be absent or null as a whole number; None if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_object(value: Any) -> dict[str, Any]:
    """Return a member that may be absent or null as an object; empty if it is none."""
    return value if isinstance(value, dict) else {}


def as_objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list that may be absent or null; empty if it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def index_by_email(batch: Batch) -> dict[str, int]:
    """Where each address stands in the batch. Vendors echo addresses in their own case."""
    return dict(zip(map(same, batch.emails), count()))


def describe(title: str, response: Response, code: object) -> str:
    """How a message about an unexpected response begins: vendor, status and error code, and none of its words."""
    named = f" (error code {public_code(code)})" if code else ""
    return f"{title} answered {response.status}{named}"


def unexpected_response(title: str, response: Response, code: object) -> UnexpectedResponse:
    """The error for a response that no rule of the vendor's covers."""
    return UnexpectedResponse(
        f"{describe(title, response, code)}, to {response.url}. To fix: look up status and error code in the "
        "vendor's API documentation, or ask its support."
    )


def make_reader(refuse: Callable[[Response], NoReturn]) -> Callable[..., Any]:
    """How a vendor's replies are read, given how it refuses: by an expected status, or by what another one means."""

    def read(response: Response, *expected: int) -> Any:
        """The JSON of an expected reply (200 where none is named); anything else raises what it means."""
        if response.status not in (expected or (200,)):
            refuse(response)
        return response.json()

    return read
