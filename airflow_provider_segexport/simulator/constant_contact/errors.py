"""Error bodies of Constant Contact: an array from the API, an object from the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.wire import RefusedError, Reply

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.wire import Call

# Swagger 3.0.178 and glossary_responses.html, read 2026-08: `contacts.api.not_found`,
# `contacts.api.validation.error`, `unauthorized`. The other keys of the API are assumed.
NOT_FOUND = "contacts.api.not_found"
INVALID = "contacts.api.validation.error"
CONFLICT = "contacts.api.conflict"
QUEUE_FULL = "contacts.api.queued_activities_exceeded"
UNSUPPORTED = "contacts.api.unsupported_media_type"


def api_error(key: str, message: str, status: int = 400) -> Reply:
    """Build an error reply of the API.

    Args:
        key: value of `error_key`.
        message: value of `error_message`.
        status: HTTP status.
    """
    return Reply.json([{"error_key": key, "error_message": message}], status)


def api_refused(key: str, message: str, status: int = 400) -> RefusedError:
    """Return the exception that rejects a call with an error of the API.

    Args:
        key: value of `error_key`.
        message: value of `error_message`.
        status: HTTP status.
    """
    return RefusedError(api_error(key, message, status))


def invalid(message: str) -> RefusedError:
    """Return the exception for a request that does not match the schema."""
    return api_refused(INVALID, message)


def not_found() -> RefusedError:
    """Return the exception for an unknown id."""
    return api_refused(NOT_FOUND, "The requested resource was not found.", 404)


def check_json_type(call: Call) -> None:
    """Reject a body with another `Content-Type` than JSON, as the swagger (3.0.178) says of new contacts and fields."""
    if call.has_other_type:
        text = "Unsupported Media Type; the payload must be in JSON format, and Content-Type must be application/json"
        raise api_refused(UNSUPPORTED, text, 415)


def gateway_refused(key: str, message: str, status: int) -> RefusedError:
    """Return the exception that rejects a call with an error of the gateway.

    Args:
        key: value of `error_key`.
        message: value of `error_message`.
        status: HTTP status.
    """
    return RefusedError(Reply.json({"error_key": key, "error_message": message}, status))


def access_denied() -> RefusedError:
    """Return the exception for a missing right (account_get_privileges.html, read 2026-11-26)."""
    return gateway_refused("access_denied", "Request forbidden due to insufficient user privileges.", 403)


def oauth_refused(error: str, description: str, status: int = 400) -> RefusedError:
    """Return the exception that rejects a call with an OAuth error, which has no `error_key`.

    Args:
        error: OAuth's error code.
        description: value of `error_description`.
        status: HTTP status.
    """
    return RefusedError(Reply.json({"error": error, "error_description": description}, status))
