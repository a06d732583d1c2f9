"""An account at the simulated Constant Contact, and this vendor's own parts: lists, an OAuth login, recorded damage."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase
from vendors.harness import VendorHarness

from airflow_provider_segexport.http.client import RetryLimits, Sender
from airflow_provider_segexport.http.oauth import Bearer
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.auth import OAuthCredentials, OAuthToken
from airflow_provider_segexport.vendors.operations import run_operation

NAME = "constant_contact"
DAMAGE = ("permission_changed", "consent_upgraded", "mails", "contacts_deleted", "lists_deleted", "memberships_deleted")
"""Events that the simulator counts, and that no export may ever cause."""


class Lists(VendorHarness):
    """One account with three lists; exports go to the first."""

    def __init__(self, sim: Simulator, home: Path, **limits: object) -> None:
        super().__init__(sim, NAME, home, **limits)

    def seed(self, *people: str | dict[str, Any], audience: str | None = None) -> None:
        rows = [{"email": person} if isinstance(person, str) else person for person in people]
        self.sim.seed(NAME, rows, audience)

    def act(self, action: str, **details: Any) -> Any:
        return self.sim.act(NAME, action, details)

    def leave(self, email: str) -> None:
        """Let a person leave this list by their own choice."""
        self.act("leave_list", email=email, audience=self.audience)

    def set(self, **settings: Any) -> None:
        self.sim.configure({NAME: settings})

    def calls(self, method: str = "", path: str = "") -> list[dict[str, Any]]:
        """Received calls, by method and by how the path ends."""
        calls = self.sim.requests(vendor=NAME)
        return [call for call in calls if method in {"", call["method"]} and str(call["path"]).endswith(path)]

    def rows_sent(self) -> list[list[dict[str, Any]]]:
        """The rows of each import."""
        return [call["body"]["import_data"] for call in self.upserts()]

    def people(self, view: str = "all-contacts") -> dict[str, dict[str, Any]]:
        """Every contact in the account, by address."""
        return {person["email"]: person for person in self.sim.members(NAME, view)["members"]}

    def harm(self) -> dict[str, int]:
        """Damage that should never occur: in the request log, and in the account's own audit."""
        counts = {what: self.facts(what) for what in DAMAGE} | dict(self.act("audit")["counts"])
        signed_up = len(self.calls("POST", "/sign_up_form")) + len(self.calls("POST", "/contacts"))
        return {what: count for what, count in {**counts, "signed up": signed_up}.items() if count}

    def script(self, *states: str) -> None:
        """Script the states of the next activity; each read returns the next state."""
        self.act("script_jobs", scripts=[list(states)])


class TokenStore:
    """Stores a login as an Airflow Variable does: as text that all exporters share."""

    def __init__(self) -> None:
        self.text = ""
        self.held = 0

    def load(self) -> tuple[OAuthToken, str] | None:
        if not self.text:
            return None
        stored = json.loads(self.text)
        return OAuthToken(**stored["token"]), stored["mark"]

    def save(self, token: OAuthToken, mark: str) -> None:
        values = {name: getattr(token, name) for name in ("access_token", "refresh_token", "expires_at", "renewed_at")}
        self.text = json.dumps({"token": values, "mark": mark})

    @contextlib.contextmanager
    def lock(self) -> Iterator[Callable[[], None]]:
        self.held += 1
        yield lambda: None


def sign_in(lists: Lists, store: TokenStore, key: str = "main") -> Bearer:
    """Return a login that renews itself, as a connection of one application has it."""
    described_key = lists.described["keys"][key]
    mine = OAuthCredentials(
        described_key["refresh_token"], described_key["client_id"], described_key.get("client_secret", "")
    )

    def refresh(token: str) -> OAuthToken:
        sender = Sender(plain, lists.vendor, sleep=lists.sleep, clock=lists.sim.clock.now)
        operation = constant_contact.account.refresh(
            lists.endpoint, replace(mine, refresh_token=token), lists.sim.clock.now()
        )
        return run_operation(operation, sender, lists.sleep)

    return Bearer(
        mine.refresh_token,
        store,
        refresh,
        is_expired=constant_contact.account.is_expired,
        on_secret=lambda _: None,
        clock=lists.sim.clock.now,
        sleep=lists.sleep,
    )


def plain() -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    return made


def renewing(lists: Lists, auth: AuthBase, patience: RetryLimits | None = None) -> Sender:
    """A sender that renews its login when the vendor rejects it as expired."""

    def session() -> requests.Session:
        made = plain()
        made.auth = auth
        return made

    return Sender(
        session,
        lists.vendor,
        retry_limits=patience,
        renew_auth=getattr(auth, "renew", None),
        sleep=lists.sleep,
        clock=lists.sim.clock.now,
    )


def reasons(lists: Lists, run: str = "run", generation: str = "01") -> dict[str, str]:
    """Return the reason of each rejected address."""
    return {row["email"]: row["reason"] for row in lists.rejects(run, generation)}
