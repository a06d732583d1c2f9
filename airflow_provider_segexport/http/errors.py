"""The one border where the HTTP library's exceptions, and answers that are none, become ours."""

from __future__ import annotations

import logging
import re

from requests import exceptions as foreign

from airflow_provider_segexport.counted import noun
from airflow_provider_segexport.errors import (
    InvalidConnection,
    RetryableError,
    SegexportError,
    VendorUnavailable,
    WaitTooLong,
)
from airflow_provider_segexport.model import Response, media_type
from airflow_provider_segexport.response_json import UnusableJson, parse_json
from airflow_provider_segexport.vendors.delays import LONGEST_S, bounded, is_too_long

log = logging.getLogger(__name__)

SUCCESS = range(200, 300)
SHORT = 20_000
WELL_ENDED = (b"}", b"]")
WAIT_HEADERS = frozenset({"retry-after", "x-ratelimit-reset", "x-rate-limit-reset"})
"""Headers in which the vendors' APIs say how long to wait."""

_PLAIN = re.compile(r"[A-Za-z0-9_.~:-]*")
"""A part of a path that holds no address, encoded or not: ids and the names of resources."""


def shown(url: str) -> str:
    """An address fit for a log: without query, credentials and any part of the path that may be a person's address."""
    scheme, mark, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    path = "/".join("***" if not _PLAIN.fullmatch(part) else part for part in path.split("/"))
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def translate(error: foreign.RequestException, url: str) -> SegexportError:
    """What a failure of the HTTP library means to the caller."""
    where = shown(url)
    match error:
        case foreign.SSLError():
            return InvalidConnection(
                f"TLS with {where} failed: its certificate is not trusted here, or the address is not "
                "the vendor's. Check the base URL; a company's own authority goes into REQUESTS_CA_BUNDLE."
            )
        case foreign.ProxyError():
            return VendorUnavailable(f"The proxy on the way to {where} refused or failed.")
        case foreign.Timeout():
            return VendorUnavailable(f"{where} did not answer in time.")
        case (
            foreign.InvalidURL()
            | foreign.MissingSchema()
            | foreign.InvalidSchema()
            | foreign.InvalidProxyURL()
            | foreign.InvalidHeader()
            | foreign.URLRequired()
            | foreign.UnrewindableBodyError()
            | foreign.InvalidJSONError()
        ):
            return InvalidConnection(
                f"{where!r} is no address that can be called ({type(error).__name__}). Check the base URL and the "
                "credentials of the Airflow connection for stray characters."
            )
        case _:
            return VendorUnavailable(f"The call to {where} broke off ({type(error).__name__}).")


def believed(later: RetryableError, response: Response) -> SegexportError:
    """Bound the wait that a vendor asks for.

    Args:
        later: what the response means; a wait that no clock can hold is removed from it, and logged.
        response: the response.

    Returns:
        The error to raise: `later`, or `WaitTooLong` where the vendor asks for more than `LONGEST_S`.
    """
    if is_too_long(later.retry_after_s):
        return WaitTooLong(
            f"{response.url} answered {response.status} and asks to wait for {_span(later.retry_after_s or 0.0)}. "
            f""
            f"The longest wait that is made is {LONGEST_S / 3600:.0f} h. To fix: ask the vendor why the account is "
            "blocked for so long, then clear the task."
        )
    kept = bounded(later.retry_after_s)
    if kept is None and (later.retry_after_s is not None or not WAIT_HEADERS.isdisjoint(response.headers)):
        log.warning("Ignoring a wait that cannot be read (url=%s status=%d)", response.url, response.status)
    later.retry_after_s = kept
    return later


def _span(seconds: float) -> str:
    """Return a span of more than a day; vendors write years when they mean another unit."""
    days = seconds / 86_400
    return f"{days:,.1f} {noun(days, 'day')}" if days < 36_500 else "more than 100 years"  # noqa: PLR2004 - a century


def out_of_order(response: Response) -> VendorUnavailable | None:
    """A success that is a web page, or JSON cut in two: something between answered. The same call may do better."""
    if response.status not in SUCCESS or not response.body:
        return None
    kind = response.headers.get("content-type", "")
    if "html" in kind or ("json" in kind and not _whole(response.body)):
        return VendorUnavailable(
            f"{response.url} answered {response.status} with {media_type(kind)} that is no whole reply."
        )
    return None


def _whole(body: bytes) -> bool:
    """Whether JSON is all there. A long body is not read twice for it: its end tells in all but a few cuts."""
    if len(body) > SHORT:
        return body.rstrip().endswith(WELL_ENDED)
    try:
        parse_json(body)
    except UnusableJson:
        return True  # whoever reads it says so
    except ValueError:
        return False
    return True
