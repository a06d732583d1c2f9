"""What a connection holds for a vendor: base URL and options, the form it is filled in with, the sign-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airflow_provider_segexport.model import Operation, Response


@dataclass(frozen=True, slots=True)
class ApiEndpoint:
    """What an operation needs of the connection besides credentials, which only the session holds.

    Attributes:
        base_url: base URL without a trailing slash.
        is_default_url: the administrator left the base URL to us.
    """

    base_url: str
    is_default_url: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectionFormField:
    """A field of the connection form beyond Airflow's standard ones. A secret's `name` is one that Airflow masks."""

    name: str
    label: str
    help: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionForm:
    """The connection form: which standard fields show, under which label, and what else is asked for."""

    credential_label: str
    login_label: str | None = None
    placeholders: Mapping[str, str] = field(default_factory=dict)
    audience_help: str = ""
    fields: tuple[ConnectionFormField, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class OAuthToken:
    """An OAuth2 access token; times in epoch seconds. `refresh` is what the vendor wants to see next time."""

    access_token: str
    refresh_token: str
    expires_at: float
    renewed_at: float = 0.0


@dataclass(frozen=True, slots=True, repr=False)
class OAuthCredentials:
    """What a vendor asks for to renew an access token."""

    refresh_token: str
    client_id: str = ""
    client_secret: str = ""


@dataclass(frozen=True, slots=True)
class DevicePrompt:
    """Where a person approves a sign-in, and the code that they compare."""

    url: str
    code: str


@dataclass(frozen=True, slots=True)
class OAuth:
    """How a vendor renews access tokens.

    Attributes:
        refresh: the call that turns a refresh token into a new pair; the last argument is the time now.
        is_expired: whether a 401 says that the access token is old, and not that the credentials are bad.
        device_login: the first sign-in, where a person can approve it in a browser; shows the invitation on its way.
            The last argument tells the time.
    """

    refresh: Callable[[ApiEndpoint, OAuthCredentials, float], Operation[OAuthToken]]
    is_expired: Callable[[Response], bool]
    device_login: (
        Callable[
            [ApiEndpoint, OAuthCredentials, Callable[[DevicePrompt], None], Callable[[], float]], Operation[OAuthToken]
        ]
        | None
    ) = None
