"""Connection settings of a vendor: base URL, options, connection form and OAuth2 operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airflow_provider_segexport.model import Operation, Response


@dataclass(frozen=True, slots=True)
class ApiEndpoint:
    """The part of a connection that operations may see. Only the HTTP session holds the credentials.

    Attributes:
        base_url: base URL without a trailing slash.
        is_default_url: the connection sets no base URL, so `base_url` is the vendor's default.
        options: the connection's extras, by name.
    """

    base_url: str
    is_default_url: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectionFormField:
    """A field of the connection form besides Airflow's standard ones.

    Attributes:
        name: key in the connection's extra. The `name` of a secret must be one that Airflow masks.
        label: text before the field.
        help: text below the field.
        secret: the form hides the value.
    """

    name: str
    label: str
    help: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionForm:
    """The connection form of a vendor.

    Attributes:
        credential_label: label of Airflow's password field.
        login_label: label of Airflow's login field; None hides the field.
        placeholders: placeholder texts by field name.
        audience_help: help text of the default audience.
        fields: additional fields.
    """

    credential_label: str
    login_label: str | None = None
    placeholders: Mapping[str, str] = field(default_factory=dict)
    audience_help: str = ""
    fields: tuple[ConnectionFormField, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class OAuthToken:
    """An OAuth2 access token, and the refresh token for the next renewal. Times are in epoch seconds."""

    access_token: str
    refresh_token: str
    expires_at: float
    renewed_at: float = 0.0


@dataclass(frozen=True, slots=True, repr=False)
class OAuthCredentials:
    """Credentials for renewing an access token."""

    refresh_token: str
    client_id: str = ""
    client_secret: str = ""


@dataclass(frozen=True, slots=True)
class DevicePrompt:
    """The page where a person approves a login, and the code that the page must display."""

    url: str
    code: str


@dataclass(frozen=True, slots=True)
class OAuth:
    """OAuth2 operations of a vendor.

    Attributes:
        refresh: renews the tokens. Its last argument is the current time in epoch seconds.
        is_expired: returns whether a 401 means an expired access token, which a refresh renews, or bad credentials.
        device_login: logs in by the device flow; None if the vendor has none. It passes the prompt for the person to
            the callback. The last argument returns the current time in epoch seconds.
    """

    refresh: Callable[[ApiEndpoint, OAuthCredentials, float], Operation[OAuthToken]]
    is_expired: Callable[[Response], bool]
    device_login: (
        Callable[
            [ApiEndpoint, OAuthCredentials, Callable[[DevicePrompt], None], Callable[[], float]], Operation[OAuthToken]
        ]
        | None
    ) = None
