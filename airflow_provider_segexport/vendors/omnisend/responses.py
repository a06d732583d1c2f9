"""Omnisend: the API version header, and errors in responses.

Errors are RFC 9457 problems (responses page of 2026-03-15, read 2026-08).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from airflow_provider_segexport.errors import (
    AuthenticationFailed,
    FatalError,
    PermissionDenied,
    RetryableError,
    UnexpectedResponse,
)
from airflow_provider_segexport.model import Request, Response
from airflow_provider_segexport.vendors.responses import (
    TOO_MANY_REQUESTS,
    as_object,
    as_objects,
    as_text,
    describe,
    make_reader,
    retry_after,
    retry_hint_from_status,
    unexpected_response,
    wait_header,
    wait_of,
)

FORBIDDEN = 403
API_VERSION = "2026-03-15"
PERMISSIONS = "contacts (read and write) and brands (read)"

DEFAULT_WAIT_S = 12.0
"""Seconds to wait after a 429 without a wait, such as those of the batches endpoints. The limit of 400 calls a minute
per brand has a sliding window, so some calls are free after a fifth of a minute."""


def versioned(request: Request, rate_scope: str = "") -> Request:
    """Return the request with the API version, without which the vendor rejects it.

    Args:
        request: any request to the API.
        rate_scope: additional quota that the call counts against, a key of `Limits.scoped_rates`.
    """
    return replace(request, headers={**request.headers, "Omnisend-Version": API_VERSION}, rate_scope=rate_scope)


def error_of(response: Response) -> tuple[str, str]:
    """Return the problem's type, and its message with the invalid fields."""
    body = as_object(response.json())
    kind = as_text(body.get("type")).rpartition("/")[2]
    fields = field_errors(as_objects(body.get("errors"))[:3])
    detail = as_text(body.get("detail")) or as_text(body.get("title"))
    return kind, " ".join(part for part in (detail, fields) if part)


def field_errors(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return the invalid fields of a problem with their messages."""
    return "; ".join(f"{as_text(error.get('field'))}: {as_text(error.get('message'))}" for error in errors)


def raise_for(response: Response) -> NoReturn:
    """Raise the error for a response with an unexpected status."""
    kind = error_of(response)[0]
    failure = describe("Omnisend", response, kind)
    match response.status:
        case 401:
            raise AuthenticationFailed(
                f"{failure}. To fix: check the API key in the Airflow connection; keys are created and deleted in the "
                "store's settings under API keys (app.omnisend.com/integrations/api-keys)."
            )
        case 403:
            raise PermissionDenied(
                f"{failure}. The API key lacks a permission that {response.url} requires; an export needs "
                f"{PERMISSIONS}. To fix: grant it in the store's settings under API keys, and wait a few minutes."
            )
        case 410:
            raise FatalError(
                f"{failure}. Omnisend has retired the API version {API_VERSION}, which this release uses. To fix: "
                "install a newer airflow-provider-segexport."
            )
        case _:
            raise unexpected_response("Omnisend", response, kind)


read_json = make_reader(raise_for)


def retry_hint(response: Response, now: float) -> RetryableError | None:
    """Return the error to raise if a response asks to retry later; a 429's wait is in a header, the body or neither."""
    if response.status != TOO_MANY_REQUESTS:
        return retry_hint_from_status(response, None, now)
    headers = response.headers
    wait_s = (
        retry_after(headers, now)
        or wait_header(headers, "x-rate-limit-reset", now)
        or retry_after_in_body(response, now)
        or DEFAULT_WAIT_S
    )
    return retry_hint_from_status(response, wait_s, now)


def retry_after_in_body(response: Response, now: float) -> float | None:
    """Return `retryAfter` of the problem object in seconds; None if it is absent or the body is not JSON."""
    try:
        body = response.json()
    except (RetryableError, UnexpectedResponse):
        return None
    value = as_object(body).get("retryAfter")
    return wait_of(str(value), response.headers, now) if isinstance(value, int | float) else None
