"""`airflow segexport login CONN_ID`: a person approves once, and the connection holds the refresh token."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.errors import InvalidConnection, SegexportError
from airflow_provider_segexport.hooks.extra import extras
from airflow_provider_segexport.vendors.auth import DevicePrompt, OAuthCredentials, OAuthToken

if TYPE_CHECKING:
    from argparse import Namespace


def login(args: Namespace) -> None:
    """Run the device flow for one connection."""
    try:
        token = _approve(args.conn_id)
    except SegexportError as error:
        raise SystemExit(str(error)) from None
    if _keep(args.conn_id, token):
        print(f"Signed in. Connection {args.conn_id!r} holds the refresh token; `airflow connections test` proves it.")  # noqa: T201
    else:
        print(  # noqa: T201
            f"Signed in. Connection {args.conn_id!r} is not in Airflow's database, so put this into its extra where it "
            f'is kept, and nowhere else:\n{{"refresh_token": "{token.refresh_token}"}}'
        )


def _approve(conn_id: str) -> OAuthToken:
    """Show the invitation and wait for the person."""
    hook = command_hook(conn_id)
    found = hook.connection
    flow = hook.vendor.oauth.device_login if hook.vendor.oauth else None
    if flow is None:
        raise InvalidConnection(f"{hook.vendor.title} needs no sign-in by this command: fill in the connection's form.")
    if not found.login:
        raise InvalidConnection(f"Connection {conn_id!r} lacks the client id (Login).")
    who = OAuthCredentials("", found.login, found.password or "")
    token = hook.run_unauthenticated(flow(hook.settings.endpoint, who, _invite, time.time))
    if not token.refresh_token:
        raise InvalidConnection("The vendor gave no refresh token: the application must be allowed offline access.")
    return token


def _invite(invitation: DevicePrompt) -> None:
    print(f"Open {invitation.url}\nand approve the code {invitation.code}. Waiting ...", flush=True)  # noqa: T201


def _keep(conn_id: str, token: OAuthToken) -> bool:
    """Put the refresh token into the stored connection; False where it is stored elsewhere."""
    from airflow.models import Connection  # noqa: PLC0415 - the command line may use the database
    from airflow.utils.session import create_session  # noqa: PLC0415

    with create_session() as session:
        # AIR311 means DAGs and tasks; this is the stored row, which the SDK cannot write.
        found = session.query(Connection).filter(Connection.conn_id == conn_id)  # noqa: AIR311
        stored: Any = found.one_or_none()
        if stored is None:
            return False
        extra = extras(stored.extra)
        extra["refresh_token"] = token.refresh_token
        stored.extra = json.dumps(extra)
    return True
