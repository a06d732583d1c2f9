"""The simulated Constant Contact: its API and OAuth routes, access checks and control actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.routes import Route
from airflow_provider_segexport.simulator.settings import ControlError, changed
from airflow_provider_segexport.simulator.vendor import Audience, Json, Vendor
from airflow_provider_segexport.simulator.wire import Call, Reply

from . import inspection
from .access import AccessCheck
from .activities import ActivityRoutes
from .contacts import ContactRoutes
from .errors import INVALID, NOT_FOUND, api_error, oauth_refused
from .exporting import ExportRoutes
from .importing import ImportRoutes
from .keys import Tokens
from .lists import FieldRoutes, ListRoutes
from .memberships import MembershipRoutes
from .oauth import AuthorizationServer
from .reads import Reader
from .settings import PRIVILEGES, Settings
from .state import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_segexport.simulator.vendor import Context

    from .keys import ApiKey
    from .records import Contact

OAUTH, API = "/oauth2/default/v1", "/v3"
_OPEN = "open"
# Scope and privilege of each path: swagger 3.0.178.
_READ, _WRITE = "contact_data contacts:read", "contact_data contacts:write"
_LISTS_READ, _LISTS_WRITE = "contact_data contacts:lists:read", "contact_data contacts:lists:write"


class ConstantContact(Vendor):
    """Constant Contact with one account, one user and three applications: main, public and long_lived."""

    name = "constant_contact"

    def __init__(self, context: Context, settings: Mapping[str, object]) -> None:
        self.context = context
        now = context.clock.now()
        self.account = Account(context.seed, changed(Settings(), settings), now)
        self.tokens = Tokens(self.account)
        keys = [self.tokens.register(name) for name in ("main", "public", "long_lived")]
        scopes = self.account.settings.scopes
        self.first = {key.name: self.tokens.issue(key, scopes, now) for key in keys}
        self.access = AccessCheck(self.tokens)
        self.server = AuthorizationServer(self.tokens, lambda: self.base_url)
        self.activities = ActivityRoutes(self.account)
        self.imports = ImportRoutes(self.account, self.activities)
        self.contacts = ContactRoutes(self.account)
        self.memberships = MembershipRoutes(self.account, self.activities, self.contacts)
        self.exports = ExportRoutes(self.account, self.activities)
        self.lists = ListRoutes(self.account, self.activities)
        self.fields = FieldRoutes(self.account)
        self.reader = Reader(self.account)
        super().__init__(context)

    def configure(self, settings: Mapping[str, object]) -> None:
        """Change settings by name; rate limit windows restart."""
        self.account.settings = changed(self.account.settings, settings)
        self.access.restart_windows()

    def settle(self) -> None:
        """Finish the activities that are due."""
        self.account.jobs.settle(self.context.clock.now())

    def routes(self) -> Sequence[Route]:
        """Return the routes; the tag has the scope and the privilege that a call needs."""
        return (*self._oauth_routes(), *self._activity_routes(), *self._contact_routes(), *self._list_routes())

    def _oauth_routes(self) -> Sequence[Route]:
        return (
            Route("GET", f"{OAUTH}/authorize", self.server.authorize, _OPEN),
            Route("POST", f"{OAUTH}/token", self.server.token, _OPEN),
            Route("POST", f"{OAUTH}/device/authorize", self.server.device, _OPEN),
            Route("GET", "/activate", self.server.activate, _OPEN),
            Route("POST", "/activate", self.server.activate, _OPEN),
            Route("GET", f"{API}/account/summary", self._summary, "account_read account:read"),
            Route("GET", f"{API}/account/user/privileges", self._privileges),
        )

    def _activity_routes(self) -> Sequence[Route]:
        bulk = f"{API}/activities"
        return (
            Route("GET", bulk, self.activities.all, _WRITE),
            Route("POST", f"{bulk}/contacts_json_import", self.imports.json, _WRITE),
            Route("POST", f"{bulk}/contacts_file_import", self.imports.csv, _WRITE),
            Route("POST", f"{bulk}/add_list_memberships", self.memberships.add, _WRITE),
            Route("POST", f"{bulk}/remove_list_memberships", self.memberships.remove, _WRITE),
            Route("POST", f"{bulk}/contact_exports", self.exports.accept, _WRITE),
            Route("POST", f"{bulk}/contact_delete", self.memberships.delete, _WRITE),
            Route("POST", f"{bulk}/list_delete", self.lists.delete_many, _WRITE),
            Route("GET", f"{bulk}/{{activity}}", self.activities.single, _WRITE),
            Route("GET", f"{API}/contact_exports/{{file}}", self.exports.file, _WRITE),
        )

    def _contact_routes(self) -> Sequence[Route]:
        people, contact_path = f"{API}/contacts", f"{API}/contacts/{{contact}}"
        return (
            Route("GET", people, self.reader.page, _READ),
            Route("POST", people, self.contacts.create, _WRITE),
            Route("POST", f"{people}/sign_up_form", self.contacts.sign_up, _WRITE),
            Route("GET", f"{people}/counts", self.contacts.counts, _READ),
            Route("PUT", f"{people}/resubscribe/{{contact}}", self.contacts.resubscribe, _WRITE),
            Route("GET", contact_path, self.contacts.show, _READ),
            Route("PUT", contact_path, self.contacts.replace, _WRITE),
            Route("DELETE", contact_path, self.contacts.delete, _WRITE),
        )

    def _list_routes(self) -> Sequence[Route]:
        lists, fields = f"{API}/contact_lists", f"{API}/contact_custom_fields"
        return (
            Route("GET", lists, self.lists.all, _LISTS_READ),
            Route("POST", lists, self.lists.create, _LISTS_WRITE),
            Route("GET", f"{lists}/{{list}}", self.lists.single, _LISTS_READ),
            Route("PUT", f"{lists}/{{list}}", self.lists.change, _LISTS_WRITE),
            Route("DELETE", f"{lists}/{{list}}", self.lists.delete, _LISTS_WRITE),
            Route("GET", fields, self.fields.all, _READ),
            Route("POST", fields, self.fields.create, _WRITE),
            Route("DELETE", f"{fields}/{{field}}", self.fields.delete, _WRITE),
        )

    def admit(self, call: Call, route: Route, headers: dict[str, str]) -> None:
        """Check the token, the rate limits of its application, then scope and privilege.

        Args:
            call: the request.
            route: the matching route; its tag has the scope and the privilege.
            headers: receives the rate limit headers, if the settings ask for them.
        """
        if self.account.settings.rate_headers:
            headers |= {"X-RateLimit-Limit": "10000", "X-RateLimit-Remaining": "9999", "X-RateLimit-Reset": "60"}
        if route.tag != _OPEN:
            access = self.access.check_credentials(call)
            self.access.check_limits(access.key, call.now)
            self.access.check_rights(access, route.tag)

    def not_found(self, _call: Call) -> Reply:
        """Return the reply for a path that does not exist."""
        return api_error(NOT_FOUND, "The requested resource was not found.", 404)

    def refuse(self, call: Call) -> Reply:
        """Return status 400, as for a body that does not match the schema."""
        if call.path.startswith(OAUTH):
            return oauth_refused("invalid_request", "The request is malformed.").reply
        return api_error(INVALID, "import_data must be an array of contacts")

    def describe(self) -> Json:
        """Return base URL, credentials, audiences, custom fields and settings."""
        return inspection.describe(self.account, self.tokens, self.first, self.base_url)

    def audience(self, audience_id: str) -> Audience:
        """Return a list, or one of the account-wide views."""
        return inspection.audience(self.account, audience_id)

    def people(self, people: Sequence[Json], audience_id: str | None) -> int:
        """Seed people with a permission of the vendor or a vendor-neutral status."""
        return inspection.seed(self.account, people, audience_id, self.context.clock.now())

    def actions(self) -> dict[str, Callable[[Json], object]]:
        """Return the vendor's own control actions by name."""
        now = self.context.clock.now()
        return {
            "approve_device": lambda details: self.server.decide(details, "approved"),
            "deny_device": lambda details: self.server.decide(details, "denied"),
            "expire_tokens": lambda _: self.tokens.expire(now),
            "revoke_tokens": lambda _: self.tokens.revoke(),
            "revoke_refresh_tokens": lambda details: self.tokens.revoke_refresh(self._key(details)),
            "authorize": lambda details: self.tokens.issue(self._key(details), self._scopes(details), now),
            "spend": self._spend,
            "script_jobs": self._script_jobs,
            "unsubscribe": self._unsubscribe,
            "leave_list": self._leave_list,
            "change_address": self._change_address,
            "audit": lambda _: {"counts": dict(self.account.audit.counts), "events": self.account.audit.events},
        }

    def _key(self, details: Json) -> ApiKey:
        wanted = details.get("key", "main")
        for key in self.tokens.keys.values():
            if wanted in (key.name, key.client_id):
                return key
        raise ControlError(f"no key {wanted!r}; there are: main, public, long_lived")

    def _scopes(self, details: Json) -> list[str]:
        wanted = details.get("scopes", self.account.settings.scopes)
        if isinstance(wanted, list) and all(isinstance(scope, str) for scope in wanted):
            return wanted
        raise ControlError("scopes must be a list of strings")

    def _spend(self, details: Json) -> object:
        """Count calls of other clients of the application."""
        calls = details.get("calls")
        if not isinstance(calls, int):
            raise ControlError('spend takes {"calls": 9000, "key": "main"}')
        return self.access.spend(self._key(details), calls, self.context.clock.now())

    def _script_jobs(self, details: Json) -> object:
        """Assign scripted states to the next activities; each poll returns the next state."""
        scripts = details.get("scripts")
        if not isinstance(scripts, list) or not all(isinstance(item, list) for item in scripts):
            raise ControlError('script_jobs takes {"scripts": [["initialized", "completed"], ..]}')
        self.account.jobs.script(scripts)
        return len(scripts)

    def _unsubscribe(self, details: Json) -> object:
        contact = self._person(details)
        self.account.set_permission(contact, "unsubscribed", self.context.clock.now(), "unsubscribed by the person")
        return contact.permission

    def _leave_list(self, details: Json) -> object:
        contact, target = self._person(details), self.account.find_list(details.get("audience"))
        if target is None:
            raise ControlError('leave_list takes {"email": "..", "audience": "<list id>"}')
        inspection.leave(self.account, contact, target, self.context.clock.now())
        return list(contact.left)

    def _change_address(self, details: Json) -> object:
        """Change a contact's address, as a user does in the vendor's UI."""
        email, to = str(details.get("email", "")), str(details.get("to", ""))
        inspection.change_address(self.account, email, to, self.context.clock.now())
        return to

    def _person(self, details: Json) -> Contact:
        email = str(details.get("email", ""))
        contact = self.account.by_email.get(self.account.key(email))
        if contact is None:
            raise ControlError(f"No contact has the address {email!r}.")
        return contact

    def _summary(self, _call: Call) -> Reply:
        return Reply.json(
            {
                "contact_email": "owner@example.com",
                "contact_phone": "5081111212",
                "country_code": "US",
                "encoded_account_id": self.account.id,
                "first_name": "Lola",
                "last_name": "Zang",
                "organization_name": "Example Shop",
                "state_code": "MA",
                "time_zone_id": "US/Eastern",
                "website": "https://shop.example.com",
            }
        )

    def _privileges(self, _call: Call) -> Reply:
        granted = self.account.settings.privileges
        ids = {name: number for number, name in enumerate((*PRIVILEGES, *granted), start=1)}
        return Reply.json([{"privilege_id": ids[name], "privilege_name": name} for name in granted])
