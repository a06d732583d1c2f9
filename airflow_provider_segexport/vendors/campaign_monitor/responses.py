"""Campaign Monitor: what replies mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    InvalidConnection,
    PermissionDenied,
    RetryableError,
    UnexpectedResponse,
)
from airflow_provider_segexport.model import (
    Response,
)
from airflow_provider_segexport.vendors.responses import (
    as_int,
    as_object,
    as_text,
    describe,
    make_reader,
    retry_hint_from_status,
    unexpected_response,
    wait_header,
)

TITLE = "Campaign Monitor"
EXPIRED_TOKEN = 121


CLIENT_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


def client_id_of(client: Mapping[str, Any]) -> str:
    """Return a client's id; empty if the member is absent, or holds what no id is: a call with it would be refused."""
    found = as_text(client.get("ClientID"))
    return found if CLIENT_ID.fullmatch(found) else ""


def error_of(response: Response) -> tuple[int, str]:
    """The vendor's error body is `{"Code": int, "Message": text}` everywhere."""
    body = as_object(response.json())
    return code_of(body), as_text(body.get("Message"))


def code_of(described: Mapping[str, Any]) -> int:
    """The vendor's code of an error; 0 if it is absent or no number."""
    code = as_text(described.get("Code"))
    return int(code) if re.fullmatch(r"[0-9]{1,6}", code) else 0


def raise_for(response: Response) -> NoReturn:
    """Raise what an unexpected reply means. A 401 is told apart by its code: it also answers for a wrong list id."""
    code = error_of(response)[0]
    said = describe(TITLE, response, code)
    match code:
        case 101:
            raise AudienceNotFound(
                f"{said}. This account has no list of that id; take it from the list's API settings."
            )
        case 102:
            raise InvalidConnection(f"{said}. The client id is not one of this account.")
        case 60 | 403:
            raise PermissionDenied(
                f"{said}. The sign-in needs the rights to import subscribers and manage lists "
                "(scopes ImportSubscribers, ManageLists)."
            )
        case 100 | 120 | 121 | 122:
            raise AuthenticationFailed(f"{said}. Renew the API key or the sign-in in the Airflow connection.")
        case _ if response.status in {401, 403}:
            raise AuthenticationFailed(f"{said}. Check the API key in the Airflow connection.")
        case _:
            raise unexpected_response(TITLE, response, code)


read_json = make_reader(raise_for)


def next_page(content: Mapping[str, Any], page: int) -> int:
    """The number of the page after this one; 0 after the last.

    Args:
        content: a page of a list, as the vendor returns it.
        page: its number, from 1.

    Raises:
        UnexpectedResponse: the page is empty although more are to follow, so that reading on would have no end.
    """
    pages = as_int(content.get("NumberOfPages"))
    if pages is None:  # read on until a page is empty
        return page + 1 if content["Results"] else 0
    if page >= pages:
        return 0
    if not content["Results"]:
        raise UnexpectedResponse(f"Campaign Monitor's page {page:,} of {pages:,} is empty.")
    return page + 1


def retry_hint(response: Response, now: float) -> RetryableError | None:
    """`X-RateLimit-Reset` is a delay in seconds here (an epoch time at dotdigital)."""
    return retry_hint_from_status(response, wait_header(response.headers, "x-ratelimit-reset", now), now)
