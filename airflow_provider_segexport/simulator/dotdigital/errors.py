"""Error bodies of dotdigital: v2 `{"message"}`, v3 `{"errorCode", "description"}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.wire import RefusedError, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence


def v2_error(text: str, status: int = 400) -> Reply:
    """Build a v2 error reply; the text contains the code, as in `Error: ERROR_X` or `Some text. ERROR_X`."""
    return Reply.json({"message": text}, status)


def v3_error(code: str, description: str, status: int = 400, details: Sequence[tuple[str, str]] = ()) -> Reply:
    """Build a v3 error reply.

    Args:
        code: error code without `contacts:`.
        description: value of `description`.
        status: HTTP status.
        details: pairs of item and description.
    """
    body: dict[str, object] = {"errorCode": f"contacts:{code}", "description": description}
    if details:
        body["details"] = [{"item": item, "description": text} for item, text in details]
    return Reply.json(body, status)


def v2_refused(text: str, status: int = 400) -> RefusedError:
    """Return the exception that rejects a call with a v2 error."""
    return RefusedError(v2_error(text, status))


def v3_refused(code: str, description: str, status: int = 400, details: Sequence[tuple[str, str]] = ()) -> RefusedError:
    """Return the exception that rejects a call with a v3 error.

    Args:
        code: error code without `contacts:`.
        description: value of `description`.
        status: HTTP status.
        details: pairs of item and description.
    """
    return RefusedError(v3_error(code, description, status, details))


def bad_request(description: str, item: str = "") -> RefusedError:
    """Return the exception that rejects a request that does not match the v3 schema."""
    return v3_refused("badRequest", description, details=[(item, description)] if item else ())


def contact_not_found(identifier: str, value: str) -> RefusedError:
    """Return the exception for an identifier that no contact has."""
    detail = (value, f"Not found using the identifier '{identifier}'")
    return v3_refused("contactNotFound", "The following contacts could not be found", 404, [detail])
