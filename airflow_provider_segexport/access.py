"""What a connection holds for a vendor: base URL and options, the form it is filled in with, the sign-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airflow_provider_segexport.model import Operation, Response


@dataclass(frozen=True, slots=True)
class Access:
    """What an operation needs of the connection besides credentials, which only the session holds.

    Attributes:
        api: base URL without a trailing slash.
        api_is_default: the administrator left the base URL to us.
    """

    api: str
    api_is_default: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of the connection form beyond Airflow's standard ones. A secret's `name` is one that Airflow masks."""

    name: str
    label: str
    help: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """The connection form: which standard fields show, under which label, and what else is asked for."""

    key_label: str
    login_label: str | None = None
    placeholders: Mapping[str, str] = field(default_factory=dict)
    audience_help: str = ""
    fields: tuple[FormField, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """An OAuth2 access token; times in epoch seconds. `refresh` is what the vendor wants to see next time."""

    access: str
    refresh: str
    expires_at: float
    renewed_at: float = 0.0


@dataclass(frozen=True, slots=True, repr=False)
class SignIn:
    """What a vendor asks for to renew an access token."""

    refresh: str
    client_id: str = ""
    client_secret: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where a person approves a sign-in, and the code that they compare."""

    url: str
    code: str


@dataclass(frozen=True, slots=True)
class OAuth:
    """How a vendor renews access tokens.

    Attributes:
        refresh: the call that turns a refresh token into a new pair; the last argument is the time now.
        stale: whether a 401 says that the access token is old, and not that the credentials are bad.
        sign_in: the first sign-in, where a person can approve it in a browser; shows the invitation on its way. The
            last argument tells the time.
    """

    refresh: Callable[[Access, SignIn, float], Operation[Token]]
    stale: Callable[[Response], bool]
    sign_in: Callable[[Access, SignIn, Callable[[Invitation], None], Callable[[], float]], Operation[Token]] | None = (
        None
    )
