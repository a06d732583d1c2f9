"""Constant Contact's error bodies: an array from the API, a bare object from the gateway."""

from __future__ import annotations

from airflow_provider_segexport.simulator.wire import RefusedError, Reply

# Swagger 3.0.178 and glossary_responses.html, read 2026-08: `contacts.api.not_found`,
# `contacts.api.validation.error`, `unauthorized`. The other keys of the API are assumed.
NOT_FOUND = "contacts.api.not_found"
INVALID = "contacts.api.validation.error"
CONFLICT = "contacts.api.conflict"
QUEUE_FULL = "contacts.api.queued_activities_exceeded"
UNSUPPORTED = "contacts.api.unsupported_media_type"


def api_error(key: str, message: str, status: int = 400) -> Reply:
    """Write an error of the API."""
    return Reply.json([{"error_key": key, "error_message": message}], status)


def api_refused(key: str, message: str, status: int = 400) -> RefusedError:
    """Return the exception that ends a call with an error of the API."""
    return RefusedError(api_error(key, message, status))


def invalid(message: str) -> RefusedError:
    """Return the exception for a request that breaks the schema."""
    return api_refused(INVALID, message)


def not_found() -> RefusedError:
    """Return the exception for an id that nothing has."""
    return api_refused(NOT_FOUND, "The requested resource was not found.", 404)


def gateway_refused(key: str, message: str, status: int) -> RefusedError:
    """Return the exception that ends a call with an error of the gateway."""
    return RefusedError(Reply.json({"error_key": key, "error_message": message}, status))


def access_denied() -> RefusedError:
    """Return the exception for a missing right (account_get_privileges.html, read 2026-11-26)."""
    return gateway_refused("access_denied", "Request forbidden due to insufficient user privileges.", 403)


def oauth_refused(error: str, description: str, status: int = 400) -> RefusedError:
    """Return the exception for the token endpoint: OAuth's shape, without `error_key`."""
    return RefusedError(Reply.json({"error": error, "error_description": description}, status))
