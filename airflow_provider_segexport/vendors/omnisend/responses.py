"""Omnisend: requests with the version that every call names, and what replies mean.

Errors are RFC 9457 problems; the responses page of 2026-03-15, read 2026-08.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from airflow_provider_segexport.errors import (
    AuthenticationFailed,
    FatalError,
    PermissionDenied,
    RetryableError,
    UnexpectedResponse,
)
from airflow_provider_segexport.model import Request, Response
from airflow_provider_segexport.vendors.delays import seconds_until
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
)

API_VERSION = "2026-03-15"
PERMISSIONS = "contacts (read and write) and brands (read)"

# 400 calls a minute a brand, in a window that slides: a 429 that tells no time (the batches endpoints tell none) is
# over when some of the calls of the last minute have grown old.
DEFAULT_WAIT_S = 12.0


def versioned(request: Request, pool: str = "") -> Request:
    """The request with the API version; a call without it is refused. `pool` is a narrower limit it counts for."""
    return replace(request, headers={**request.headers, "Omnisend-Version": API_VERSION}, rate_scope=pool)


def error_of(response: Response) -> tuple[str, str]:
    """The kind of problem, and its words with the fields that are wrong."""
    body = as_object(response.json())
    kind = as_text(body.get("type")).rpartition("/")[2]
    fields = "; ".join(
        f"{as_text(one.get('field'))}: {as_text(one.get('message'))}" for one in as_objects(body.get("errors"))[:3]
    )
    words = " ".join(part for part in (as_text(body.get("detail")) or as_text(body.get("title")), fields) if part)
    return kind, words


def raise_for(response: Response) -> NoReturn:
    """Raise what an unexpected reply means."""
    kind = error_of(response)[0]
    said = describe("Omnisend", response, kind)
    match response.status:
        case 401:
            raise AuthenticationFailed(
                f"{said}. Check the API key in the Airflow connection; keys are made, and deleted, in the store's "
                "settings under API keys (app.omnisend.com/integrations/api-keys)."
            )
        case 403:
            raise PermissionDenied(
                f"{said}. The API key lacks a permission that {response.url} asks for; an export needs {PERMISSIONS}. "
                "Give it in the store's settings under API keys; it may take some minutes to count."
            )
        case 410:
            raise FatalError(
                f"{said}. Omnisend has retired the API version {API_VERSION}, the one that this release speaks: install a "
                "newer airflow-provider-segexport."
            )
        case _:
            raise unexpected_response("Omnisend", response, kind)


read_json = make_reader(raise_for)


def retry_hint(response: Response, now: float) -> RetryableError | None:
    """A 429 tells the seconds in its body, in a header, or not at all."""
    if response.status != TOO_MANY_REQUESTS:
        return retry_hint_from_status(response, None, now)
    headers = response.headers
    told = (
        retry_after(headers, now)
        or wait_header(headers, "x-rate-limit-reset", now)
        or retry_after_in_body(response, now)
    )
    return retry_hint_from_status(response, told or DEFAULT_WAIT_S, now)


def retry_after_in_body(response: Response, now: float) -> float | None:
    """`retryAfter` of the problem; a gateway's 429 may be no JSON at all."""
    try:
        found = response.json()
    except (RetryableError, UnexpectedResponse):
        return None
    told = found.get("retryAfter") if isinstance(found, dict) else None
    return seconds_until(str(told), now) if isinstance(told, int | float) else None
