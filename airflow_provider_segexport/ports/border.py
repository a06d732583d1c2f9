"""The one border where the HTTP library's exceptions, and answers that are none, become ours."""

from __future__ import annotations

import json

from requests import exceptions as foreign

from airflow_provider_segexport.errors import BadConnection, SegexportError, VendorUnavailable
from airflow_provider_segexport.model import Response

SUCCESS = range(200, 300)
SHORT = 20_000
WELL_ENDED = (b"}", b"]")


def shown(url: str) -> str:
    """An address fit for a log: without query, credentials and any part of the path that may be a person's address."""
    scheme, mark, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    path = "/".join("***" if "@" in part or "%40" in part else part for part in path.split("/"))
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def translate(error: foreign.RequestException, url: str) -> SegexportError:
    """What a failure of the HTTP library means to the caller."""
    where = shown(url)
    match error:
        case foreign.SSLError():
            return BadConnection(
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
            return BadConnection(
                f"{where!r} is no address that can be called ({type(error).__name__}). Check the base URL and the "
                "credentials of the Airflow connection for stray characters."
            )
        case _:
            return VendorUnavailable(f"The call to {where} broke off ({type(error).__name__}).")


def out_of_order(response: Response) -> VendorUnavailable | None:
    """A success that is a web page, or JSON cut in two: something between answered. The same call may do better."""
    if response.status not in SUCCESS or not response.body:
        return None
    kind = response.headers.get("content-type", "")
    if "html" in kind or ("json" in kind and not _whole(response.body)):
        return VendorUnavailable(f"{response.url} answered {response.status} with {kind} that is no whole reply.")
    return None


def _whole(body: bytes) -> bool:
    """Whether JSON is all there. A long body is not read twice for it: its end tells in all but a few cuts."""
    if len(body) > SHORT:
        return body.rstrip().endswith(WELL_ENDED)
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
