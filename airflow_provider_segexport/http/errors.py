"""Translates the exceptions of requests, and unusable responses, to this package's errors."""

from __future__ import annotations

import logging
import re

from requests import exceptions as requests_errors

from airflow_provider_segexport.counted import noun
from airflow_provider_segexport.errors import (
    InvalidConnection,
    JobSlotsFull,
    RetryableError,
    SegexportError,
    VendorUnavailable,
    WaitTooLong,
)
from airflow_provider_segexport.model import Response, media_type
from airflow_provider_segexport.response_json import UnusableJson, parse_json
from airflow_provider_segexport.vendors.delays import MAX_WAIT_S, bounded, is_too_long

log = logging.getLogger(__name__)

SUCCESS = range(200, 300)
MAX_PARSED_BYTES = 20_000
"""A JSON body up to this size is parsed to check that it is complete. For a longer body only the end is checked,
because parsing it twice would be expensive and the end shows almost every truncation."""

JSON_ENDS = (b"}", b"]")
WAIT_HEADERS = frozenset({"retry-after", "x-ratelimit-reset", "x-rate-limit-reset"})
"""Headers in which the vendors' APIs say how long to wait."""

_SAFE_SEGMENT = re.compile(r"[A-Za-z0-9_.~:-]*")
"""Matches a path segment without an email address, encoded or not: an id or the name of a resource."""


def redact_url(url: str) -> str:
    """Return a URL for logs, without query and credentials, with `***` for segments that may contain an email."""
    scheme, separator, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    path = "/".join(segment if _SAFE_SEGMENT.fullmatch(segment) else "***" for segment in path.split("/"))
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


IF_IT_REPEATS = "To fix: if it happens repeatedly, check the network and any proxy between this worker and the vendor."


def translate_error(error: requests_errors.RequestException, url: str) -> SegexportError:
    """Return this package's error for an exception of the library requests."""
    where = redact_url(url)
    match error:
        case requests_errors.SSLError():
            return InvalidConnection(
                f"TLS with {where} failed: its certificate is not trusted here, or the host is not the vendor's. "
                "To fix: check the base URL; add your company's certificate authority to REQUESTS_CA_BUNDLE."
            )
        case requests_errors.ProxyError():
            return VendorUnavailable(f"The proxy for {where} failed or rejected the call. {IF_IT_REPEATS}")
        case requests_errors.Timeout():
            return VendorUnavailable(f"{where} did not respond in time. {IF_IT_REPEATS}")
        case (
            requests_errors.InvalidURL()
            | requests_errors.MissingSchema()
            | requests_errors.InvalidSchema()
            | requests_errors.InvalidProxyURL()
            | requests_errors.InvalidHeader()
            | requests_errors.URLRequired()
            | requests_errors.UnrewindableBodyError()
            | requests_errors.InvalidJSONError()
        ):
            return InvalidConnection(
                f"{where!r} cannot be called ({type(error).__name__}). To fix: remove stray characters from the base "
                "URL and the credentials of the Airflow connection."
            )
        case _:
            return broken_response(error, url)


def broken_response(error: Exception, url: str) -> VendorUnavailable:
    """Return the error for a response that was truncated, or that is not HTTP."""
    return VendorUnavailable(f"The call to {redact_url(url)} broke off ({type(error).__name__}). {IF_IT_REPEATS}")


def bounded_retry(error: RetryableError, response: Response) -> SegexportError:
    """Limit the wait that a vendor asks for.

    Args:
        error: the error for the response. A wait that cannot be parsed is removed from it, and logged.
        response: the response.

    Returns:
        The error to raise: `error`, or `WaitTooLong` if the vendor asks for more than `MAX_WAIT_S`.
    """
    if is_too_long(error.retry_after_s):
        return WaitTooLong(
            f"{response.url} answered {response.status} and asks to wait for {_span(error.retry_after_s or 0.0)}. "
            f"The longest wait is {MAX_WAIT_S / 3600:.0f} h. To fix: ask the vendor why the account is "
            "blocked for so long, then clear the task."
        )
    if isinstance(error, JobSlotsFull):  # the wait is for a job, so a header about calls says nothing about it
        return error
    retry_after_s = bounded(error.retry_after_s)
    if retry_after_s is None and (error.retry_after_s is not None or not WAIT_HEADERS.isdisjoint(response.headers)):
        log.warning("Ignoring a wait that cannot be read (url=%s, status=%d)", response.url, response.status)
    error.retry_after_s = retry_after_s
    return error


def _span(seconds: float) -> str:
    """Return a duration of more than a day as text. Centuries mean that the vendor used another unit."""
    days = seconds / 86_400
    return f"{days:,.1f} {noun(days, 'day')}" if days < 36_500 else "more than 100 years"  # noqa: PLR2004 - a century


def incomplete_response(response: Response) -> VendorUnavailable | None:
    """Return an error for a successful status whose body is a web page or truncated JSON; None for any other response.

    Such a response comes from a proxy or from a broken connection, so a retry may succeed.
    """
    if response.status not in SUCCESS or not response.body:
        return None
    content_type = response.headers.get("content-type", "")
    if "html" in content_type or ("json" in content_type and not _is_complete(response.body)):
        return VendorUnavailable(
            f"{response.url} answered {response.status} with {media_type(content_type)} that is not a complete "
            f"response. {IF_IT_REPEATS}"
        )
    return None


def _is_complete(body: bytes) -> bool:
    """Return whether JSON is not truncated."""
    if len(body) > MAX_PARSED_BYTES:
        return body.rstrip().endswith(JSON_ENDS)
    try:
        parse_json(body)
    except UnusableJson:
        return True  # complete; the code that reads it reports the error
    except ValueError:
        return False
    return True
