"""The simulated dotdigital: its v2 and v3 routes, access checks and control actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso
from airflow_provider_segexport.simulator.routes import Route
from airflow_provider_segexport.simulator.settings import ControlError, changed
from airflow_provider_segexport.simulator.vendor import Audience, Json, Vendor
from airflow_provider_segexport.simulator.wire import Call, Reply

from . import inspection, reads
from .access import AccessCheck
from .books import BookRoutes
from .contacts import ContactRoutes
from .datafields import FieldRoutes
from .errors import v2_error, v3_error
from .importing import ImportRoutes
from .optouts import OptOutRoutes
from .state import Account, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_segexport.simulator.vendor import Context

# Tiers of the call-rate-limits page, read 2026-08: bulk is low, single writes are medium, single reads are high, and
# polling is unlimited. The tier of each path is assumed from that.
_LOW, _MEDIUM, _HIGH, _UNLIMITED = "low", "medium", "high", "unlimited"
_ANYWHERE = "/v2/account-info"  # available in every region; api-conventions page, read 2026-08


class Dotdigital(Vendor):
    """dotdigital with one account and one API user."""

    name = "dotdigital"

    def __init__(self, context: Context, settings: Mapping[str, object]) -> None:
        self.account = Account(context.seed, changed(Settings(), settings))
        self.access = AccessCheck(self.account)
        self.imports = ImportRoutes(self.account)
        self.contacts = ContactRoutes(self.account)
        self.books = BookRoutes(self.account)
        self.opt_outs = OptOutRoutes(self.account, self.books)
        self.fields = FieldRoutes(self.account)
        super().__init__(context)

    def configure(self, settings: Mapping[str, object]) -> None:
        """Change settings by name; rate limit windows restart."""
        self.account.settings = changed(self.account.settings, settings)
        self.access.restart_windows()

    def settle(self) -> None:
        """Finish the jobs that are due."""
        self.account.settle(self.context.clock.now())

    def routes(self) -> Sequence[Route]:
        """Return the routes; the tag is the rate limit tier."""
        return (*self._v3_routes(), *self._book_routes(), *self._v2_routes())

    def _v3_routes(self) -> Sequence[Route]:
        contact_path = "/contacts/v3/{identifier}/{value}"
        return (
            Route("PUT", "/contacts/v3/import", self.imports.accept, _LOW),
            Route("GET", "/contacts/v3/import/{id}", self.imports.status, _UNLIMITED),
            Route("POST", "/contacts/v3/delete", self.contacts.delete_many, _LOW),
            Route("GET", "/contacts/v3/delete/{id}", self.contacts.deletion, _UNLIMITED),
            Route("GET", "/contacts/v3", self._page, _LOW),
            Route("POST", "/contacts/v3", self.contacts.create, _MEDIUM),
            Route("GET", contact_path, self.contacts.show, _HIGH),
            Route("PATCH", contact_path, self.contacts.patch, _MEDIUM),
            Route("PUT", contact_path, self.contacts.replace, _MEDIUM),
            Route("DELETE", contact_path, self.contacts.delete, _MEDIUM),
        )

    def _book_routes(self) -> Sequence[Route]:
        books, book_path = "/v2/address-books", "/v2/address-books/{book}"
        again = "{how:resubscribe|resubscribe-with-no-challenge}"
        since = f"{book_path}/contacts/unsubscribed-since/{{date}}"
        return (
            Route("GET", books, self.books.list, _HIGH),
            Route("POST", books, self.books.create, _MEDIUM),
            Route("GET", f"{books}/{{visibility:public|private}}", self.books.list, _HIGH),
            Route("GET", book_path, self.books.show, _HIGH),
            Route("PUT", book_path, self.books.change, _MEDIUM),
            Route("DELETE", book_path, self.books.delete, _MEDIUM),
            Route("GET", f"{book_path}/contacts", self.books.members, _LOW),
            Route("POST", f"{book_path}/contacts/delete", self.books.remove_many, _LOW),
            Route("POST", f"{book_path}/contacts/delete-all", self.books.remove_all, _LOW),
            Route("POST", f"{book_path}/contacts/unsubscribe", self.opt_outs.unsubscribe_from_list, _MEDIUM),
            Route("POST", f"{book_path}/contacts/{again}", self.opt_outs.resubscribe, _MEDIUM),
            Route("GET", since, self.opt_outs.list_unsubscribed_since, _LOW),
            Route("DELETE", f"{book_path}/contacts/{{contact}}", self.books.remove_one, _MEDIUM),
        )

    def _v2_routes(self) -> Sequence[Route]:
        again = "{how:resubscribe|resubscribe-with-no-challenge}"
        unsubscribed = "/v2/contacts/unsubscribed-since/{date}"
        return (
            Route("GET", _ANYWHERE, self._account_info, _HIGH),
            Route("GET", "/v2/server-time", self._server_time, _HIGH),
            Route("GET", "/v2/data-fields", self.fields.list, _HIGH),
            Route("GET", "/v2/data-fields/", self.fields.list, _HIGH),
            Route("POST", "/v2/data-fields", self.fields.create, _MEDIUM),
            Route("DELETE", "/v2/data-fields/{name}", self.fields.delete, _MEDIUM),
            Route("GET", "/v2/contacts/deletion/{id}", self.books.removal, _UNLIMITED),
            Route("GET", "/v2/contacts/suppressed-since/{date}", self.opt_outs.suppressed_since, _LOW),
            Route("GET", unsubscribed, self.opt_outs.unsubscribed_since, _LOW),
            Route("POST", "/v2/contacts/unsubscribe", self.opt_outs.unsubscribe, _MEDIUM),
            Route("POST", f"/v2/contacts/{again}", self.opt_outs.resubscribe, _MEDIUM),
            Route("DELETE", "/v2/contacts/{contact}", self.opt_outs.delete, _MEDIUM),
        )

    def admit(self, call: Call, route: Route, headers: dict[str, str]) -> None:
        """Check API user, region and rate limits.

        Args:
            call: the request.
            route: the matching route; its tag is the rate limit tier.
            headers: receives the rate limit headers.
        """
        self.access.check_credentials(call)
        if route.template != _ANYWHERE:
            self.access.check_region()
        self.access.check_limits(call, route.tag, headers)

    def not_found(self, call: Call) -> Reply:
        """Return the reply for a path that does not exist."""
        if call.path.startswith("/contacts/v3"):
            return v3_error("notFound", "The resource could not be found", 404)
        return v2_error("No HTTP resource was found that matches the request.", 404)

    def refuse(self, call: Call) -> Reply:
        """Return status 400, as for one contact without identifiers."""
        if call.path.startswith("/contacts/v3"):
            return v3_error("badRequest", "The Identifiers field is required")
        return v2_error("Error: ERROR_PARAMETER_INVALID")

    def describe(self) -> Json:
        """Return base URL, credentials, audiences, custom fields and settings."""
        return inspection.describe(self.account, self.base_url)

    def audience(self, audience_id: str) -> Audience:
        """Return a list, or one of the account-wide views."""
        return inspection.audience(self.account, audience_id)

    def people(self, people: Sequence[Json], audience_id: str | None) -> int:
        """Seed people with a status of the vendor or a vendor-neutral one."""
        return inspection.seed(self.account, people, audience_id, self.context.clock.now())

    def actions(self) -> dict[str, Callable[[Json], object]]:
        """Return the vendor's own control actions by name."""
        return {
            "script_jobs": self._script_jobs,
            "suppress_domain": self._suppress_domain,
            "change_address": self._change_address,
        }

    def _script_jobs(self, details: Json) -> object:
        """Assign scripted states to the next imports or removals; each poll returns the next state."""
        scripts = details.get("scripts")
        jobs = {"imports": self.account.imports, "removals": self.account.list_removals}
        script = jobs.get(str(details.get("of", "imports")))
        if script is None or not isinstance(scripts, list) or not all(isinstance(item, list) for item in scripts):
            raise ControlError('script_jobs takes {"scripts": [["NotFinished", "Finished"], ..], "of": "imports"}')
        script.script(scripts)
        return len(scripts)

    def _suppress_domain(self, details: Json) -> object:
        self.account.suppressed_domains.add(str(details.get("domain", "")).lower())
        return sorted(self.account.suppressed_domains)

    def _change_address(self, details: Json) -> object:
        """Change a contact's address, as a user does in the vendor's UI."""
        email, to = str(details.get("email", "")), str(details.get("to", ""))
        inspection.change_address(self.account, email, to, self.context.clock.now())
        return to

    def _page(self, call: Call) -> Reply:
        return reads.page(self.account, self.base_url, call)

    def _server_time(self, call: Call) -> Reply:
        return Reply.text(iso(call.now).replace("T", " ").replace("Z", "+00:00"))

    def _account_info(self, call: Call) -> Reply:
        used = self.access.hour.used(call.now)
        endpoint = self.account.settings.api_endpoint or self.base_url + "/"
        properties = (
            ("Name", "String", "Example Shop"),
            ("MainEmail", "String", "owner@example.com"),
            ("ApiCallsInLastHour", "Int", str(used)),
            ("ApiCallsRemaining", "Int", str(self.access.hour.limit - used)),
            ("ApiEndpoint", "String", endpoint),
            ("TimeZoneIana", "String", "Europe/London"),
        )
        shown = [{"name": name, "type": kind, "value": value} for name, kind, value in properties]
        return Reply.json({"id": self.account.id, "properties": shown})
