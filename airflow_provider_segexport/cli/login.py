"""`airflow segexport login CONN_ID`: a person approves a code, and the refresh token is stored in the connection."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.exit_codes import errors_shown
from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.cli.terminal import say
from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks.extra import extras
from airflow_provider_segexport.vendors.auth import DevicePrompt, OAuthCredentials, OAuthToken

if TYPE_CHECKING:
    from argparse import Namespace


@errors_shown()
def login(args: Namespace) -> None:
    """Log in with the device flow, and store the refresh token in the connection."""
    token = _approved_token(args.conn_id)
    if _store(args.conn_id, token) and _is_read_back(args.conn_id, token):
        say(f"Logged in. Connection {args.conn_id!r} has the refresh token; `airflow connections test` checks it.")
    else:
        say(
            f"Logged in. Airflow does not read connection {args.conn_id!r} from its database. Add this to its extra in "
            f'your secrets backend or environment variable:\n{{"refresh_token": "{token.refresh_token}"}}'
        )


def _approved_token(conn_id: str) -> OAuthToken:
    """Show the prompt, wait for the person, and return the token."""
    hook = command_hook(conn_id)
    connection = hook.connection
    device_login = hook.vendor.oauth.device_login if hook.vendor.oauth else None
    if device_login is None:
        raise InvalidConnection(
            f"{hook.vendor.title} needs no login by this command. To fix: enter the credentials in the connection's "
            "form."
        )
    if not connection.login:
        raise InvalidConnection(
            f"Connection {conn_id!r} has no client id. To fix: enter it as '{hook.vendor.form.login_label}'."
        )
    credentials = OAuthCredentials("", connection.login, connection.password or "")
    token = hook.run_unauthenticated(device_login(hook.settings.endpoint, credentials, _show_prompt, time.time))
    if not token.refresh_token:
        raise InvalidConnection(
            "The vendor returned no refresh token. To fix: allow offline access for the application in the vendor's "
            "developer portal."
        )
    return token


def _show_prompt(prompt: DevicePrompt) -> None:
    say(f"Open {prompt.url}\nand approve the code {prompt.code}. Waiting ...")


def _is_read_back(conn_id: str, token: OAuthToken) -> bool:
    """Return whether Airflow reads the stored token. A secrets backend or an environment variable has priority."""
    return extras(command_hook(conn_id).connection.extra).get("refresh_token") == token.refresh_token


def _store(conn_id: str, token: OAuthToken) -> bool:
    """Store the refresh token in the connection; return False if Airflow's database does not have the connection."""
    from airflow.models import Connection  # noqa: PLC0415 - the command line may use the database
    from airflow.utils.session import create_session  # noqa: PLC0415

    with create_session() as session:
        # AIR311 is about DAGs and tasks; this is the stored row, which the SDK cannot write.
        query = session.query(Connection).filter(Connection.conn_id == conn_id)  # noqa: AIR311
        stored: Any = query.one_or_none()
        if stored is None:
            return False
        extra = extras(stored.extra)
        extra["refresh_token"] = token.refresh_token
        stored.extra = json.dumps(extra)
    return True
