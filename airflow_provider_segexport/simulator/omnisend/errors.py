"""Error bodies of Omnisend: RFC 9457 problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.wire import RefusedError, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, object]

_TYPES = "https://problems.omnisend.com/"
# Type and title of 400, 404 and 429: responses page of 2026-03-15, read 2026-08; the others are assumed.
_TITLES = {
    400: ("validation-failed", "Validation failed"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Forbidden"),
    404: ("not-found", "Not found"),
    408: ("request-timeout", "Request timeout"),
    409: ("conflict", "Conflict"),
    410: ("version-retired", "API version retired"),
    413: ("payload-too-large", "Payload too large"),
    415: ("unsupported-media-type", "Unsupported media type"),
    429: ("rate-limit-exceeded", "Rate limit exceeded"),
    500: ("internal-error", "Internal server error"),
    503: ("service-unavailable", "Service unavailable"),
}
_INSTANCE = "urn:omnisend:request:"


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error of one field of a request."""

    field: str
    code: str
    message: str

    def as_json(self) -> Json:
        """Return the vendor's JSON of the error."""
        return {"field": self.field, "code": self.code, "message": self.message}


class Problem(Exception):
    """The vendor rejects a call, or one item of a batch, with an error response.

    Args:
        status: HTTP status.
        detail: text of the error; empty for none.
        errors: the fields that are invalid.
        retry_after: seconds until a call may succeed; None if the response does not say.
    """

    def __init__(
        self, status: int, detail: str = "", errors: Sequence[FieldError] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after

    def as_json(self, trace: str) -> Json:
        """Return the problem's body; `trace` is an id of the request. A 401 has no detail or instance (recorded)."""
        kind, title = _TITLES.get(self.status, ("problem", "Problem"))
        body: Json = {"type": _TYPES + kind, "title": title, "status": self.status}
        if self.detail:
            body |= {"detail": self.detail, "instance": _INSTANCE + trace}
        if self.errors:
            body["errors"] = [error.as_json() for error in self.errors]
        if self.retry_after is not None:
            body["retryAfter"] = self.retry_after
        return body

    def reply(self, trace: str) -> Reply:
        """Return the problem as a reply."""
        kind = {"content-type": "application/problem+json"}
        return Reply.json(self.as_json(trace), self.status, kind)

    def refusal(self, trace: str) -> RefusedError:
        """Return the exception that rejects a call with the problem."""
        return RefusedError(self.reply(trace))


def invalid(*errors: FieldError) -> Problem:
    """Return the problem of a request with these errors."""
    return Problem(400, "One or more fields are invalid.", errors)


def wrong(name: str, message: str, code: str = "invalid_format") -> Problem:
    """Return the problem of a request with one invalid field.

    Args:
        name: path of the field.
        message: error message.
        code: error code.
    """
    return invalid(FieldError(name, code, message))
