"""The requests that a vendor's operations yield, and the responses that they are sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import UnexpectedResponse, VendorUnavailable
from airflow_provider_segexport.response_json import UnusableJson, parse_json

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""HTTP methods that change nothing."""

REPORT_RESPONSE = "To fix: check the base URL of the connection; if it is right, ask the vendor's support."


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to a vendor.

    Attributes:
        method: the HTTP method.
        url: an absolute URL without the query.
        query: names and values of the query.
        headers: headers beside those of the session.
        body: the exact bytes to send; None: no body.
        authenticated: send the account's credentials. A token request does not.
        rate_scope: name of a narrower rate limit that the request counts for, too.
        read_only: the request changes nothing, although its method may.
        repeatable: the request may be sent again after an attempt without a clear response. If False, such an attempt
            raises `OutcomeUnknown`.
    """

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    authenticated: bool = True
    rate_scope: str = ""
    read_only: bool = False
    repeatable: bool = True

    @property
    def changes(self) -> bool:
        """Whether the request may change the account. A token request changes no audience."""
        return self.authenticated and not self.read_only and self.method not in READS


_MEDIA_TYPE = re.compile(r"(?:application|text|multipart|image)/[A-Za-z0-9.+-]{1,60}")


def media_type(header: str) -> str:
    """Return the media type in a `Content-Type` header for logs; `no known content type` if there is none."""
    match = _MEDIA_TYPE.match(header)
    return match[0] if match else "no known content type"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            VendorUnavailable: it is not JSON, such as an HTML page of a proxy or a truncated body; a retry may succeed.
            UnexpectedResponse: it is JSON that cannot be used.
        """
        try:
            return parse_json(self.body)
        except UnusableJson as error:
            raise UnexpectedResponse(f"{self.url} answered {self.status} with {error}. {REPORT_RESPONSE}") from None
        except ValueError:
            kind = media_type(self.headers.get("content-type", ""))
            raise VendorUnavailable(
                f"{self.url} answered {self.status} with a body that is not JSON ({counted(len(self.body), 'byte')}, "
                f"{kind}). "
                "A proxy, a maintenance page or a wrong base URL responds like this."
            ) from None

    def is_web_page(self) -> bool:
        """Return whether an error response is HTML. The vendors' APIs respond in JSON."""
        if self.status < 400 or not self.body:  # noqa: PLR2004 - HTTP's own number
            return False
        return "html" in self.headers.get("content-type", "").lower() or self.body[:64].lstrip().startswith(b"<")

    def mapping(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            VendorUnavailable: it is not JSON; a retry may succeed.
            UnexpectedResponse: it is JSON that cannot be used, or no JSON object.
        """
        content = self.json()
        if not isinstance(content, dict):
            raise UnexpectedResponse(
                f"{self.url} answered {self.status} with JSON that is no object. {REPORT_RESPONSE}"
            )
        return content
