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
    BUSY,
    answered,
    busy_or_down,
    inner,
    items,
    reader,
    retry_after,
    text,
    unexpected,
    wait,
)

VERSION = "2026-03-15"
PERMISSIONS = "contacts (read and write) and brands (read)"

# 400 calls a minute a brand, in a window that slides: a 429 that tells no time (the batches endpoints tell none) is
# over when some of the calls of the last minute have grown old.
UNTOLD_WAIT_S = 12.0


def versioned(request: Request, pool: str = "") -> Request:
    """The request with the API version; a call without it is refused. `pool` is a narrower limit it counts for."""
    return replace(request, headers={**request.headers, "Omnisend-Version": VERSION}, rate_scope=pool)


def problem(response: Response) -> tuple[str, str]:
    """The kind of problem, and its words with the fields that are wrong."""
    body = inner(response.json())
    kind = text(body.get("type")).rpartition("/")[2]
    fields = "; ".join(f"{text(one.get('field'))}: {text(one.get('message'))}" for one in items(body.get("errors"))[:3])
    words = " ".join(part for part in (text(body.get("detail")) or text(body.get("title")), fields) if part)
    return kind, words


def refuse(response: Response) -> NoReturn:
    """Raise what an unexpected reply means."""
    kind = problem(response)[0]
    said = answered("Omnisend", response, kind)
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
                f"{said}. Omnisend has retired the API version {VERSION}, the one that this release speaks: install a "
                "newer airflow-provider-segexport."
            )
        case _:
            raise unexpected("Omnisend", response, kind)


read = reader(refuse)


def refusal(response: Response, now: float) -> RetryableError | None:
    """A 429 tells the seconds in its body, in a header, or not at all."""
    if response.status != BUSY:
        return busy_or_down(response, None, now)
    headers = response.headers
    told = retry_after(headers, now) or wait(headers, "x-rate-limit-reset", now) or in_body(response, now)
    return busy_or_down(response, told or UNTOLD_WAIT_S, now)


def in_body(response: Response, now: float) -> float | None:
    """`retryAfter` of the problem; a gateway's 429 may be no JSON at all."""
    try:
        found = response.json()
    except (RetryableError, UnexpectedResponse):
        return None
    told = found.get("retryAfter") if isinstance(found, dict) else None
    return seconds_until(str(told), now) if isinstance(told, int | float) else None
