"""Campaign Monitor: errors, retry hints and page numbers in responses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    BatchRejected,
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
    """Return a client's id; empty if it is absent or does not have the form of an id."""
    client_id = as_text(client.get("ClientID"))
    return client_id if CLIENT_ID.fullmatch(client_id) else ""


def error_of(response: Response) -> tuple[int, str]:
    """Return error code and message. All errors have the form `{"Code": int, "Message": text}`."""
    body = as_object(response.json())
    return code_of(body), as_text(body.get("Message"))


def code_of(error: Mapping[str, Any]) -> int:
    """Return an error's code; 0 if it is absent or not a number."""
    code = as_text(error.get("Code"))
    return int(code) if re.fullmatch(r"[0-9]{1,6}", code) else 0


def raise_for(response: Response) -> NoReturn:
    """Raise the error for a response with an unexpected status.

    The code in the body decides, because the vendor also returns status 401 for a wrong list id.
    """
    code = error_of(response)[0]
    failure = describe(TITLE, response, code)
    match code:
        case 101:
            raise AudienceNotFound(
                f"{failure}. This account has no list with that id. To fix: copy the API list id from the list's "
                "settings."
            )
        case 102:
            raise InvalidConnection(
                f"{failure}. The client id is not of this account. To fix: correct 'Client id' in the connection."
            )
        case 60 | 403:
            raise PermissionDenied(
                f"{failure}. The login may not import subscribers and manage lists. To fix: log in with the scopes "
                "ImportSubscribers and ManageLists."
            )
        case 100 | 120 | 121 | 122:
            raise AuthenticationFailed(
                f"{failure}. To fix: renew the API key or the refresh token in the Airflow connection."
            )
        case _ if response.status in {401, 403}:
            raise AuthenticationFailed(f"{failure}. To fix: check the API key in the Airflow connection.")
        case _:
            raise unexpected_response(TITLE, response, code)


ACCOUNT_CODES = {60, 100, 101, 102, 120, 121, 122, 403}
"""Error codes about login, client or list. They concern every person."""


def reject(response: Response) -> NoReturn:
    """Raise the error for a call about one person with status 400: `BatchRejected`, unless it concerns every person."""
    code, message = error_of(response)
    if code in ACCOUNT_CODES:
        raise_for(response)
    raise BatchRejected(str(code), message)


read_json = make_reader(raise_for)


def next_page(content: Mapping[str, Any], page: int) -> int:
    """Return the number of the next page; 0 after the last page.

    Args:
        content: a page of a list, as the vendor returns it.
        page: the number of the page, from 1.

    Raises:
        UnexpectedResponse: the page is empty although it is not the last one.
    """
    pages = as_int(content.get("NumberOfPages"))
    if pages is None:  # read until a page is empty
        return page + 1 if content["Results"] else 0
    if page >= pages:
        return 0
    if not content["Results"]:
        raise UnexpectedResponse(
            f"Campaign Monitor's page {page:,} of {pages:,} is empty. To fix: run the task again later."
        )
    return page + 1


def retry_hint(response: Response, now: float) -> RetryableError | None:
    """Return the error if a response asks to retry later. `X-RateLimit-Reset` is in seconds, not an epoch time."""
    return retry_hint_from_status(response, wait_header(response.headers, "x-ratelimit-reset", now), now)
