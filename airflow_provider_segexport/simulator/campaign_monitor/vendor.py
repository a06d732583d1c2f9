"""The simulated Campaign Monitor: its routes, access checks and control actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.routes import Route
from airflow_provider_segexport.simulator.settings import changed
from airflow_provider_segexport.simulator.vendor import Audience, Json, Vendor
from airflow_provider_segexport.simulator.wire import Call, Reply

from . import inspection, lists, subscribers
from .access import AccessCheck
from .errors import error, refused
from .oauth import Tokens
from .reads import Reader
from .state import STATES, Account, MailingList, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_segexport.simulator.vendor import Context

    Handler = Callable[[Call], Reply]
    ListRule = Callable[[Account, MailingList, Call], Reply]
    ClientRule = Callable[[Account, Call], Reply]

API = "/api/v3.3"
_PEOPLE, _LISTS = "ImportSubscribers", "ManageLists"  # OAuth scopes; scopes page, read 2026-08
_OPEN = "open"  # a route without credentials


class CampaignMonitor(Vendor):
    """Campaign Monitor with one account and one client."""

    name = "campaign_monitor"

    def __init__(self, context: Context, settings: Mapping[str, object]) -> None:
        now = context.clock.now()
        self.account = Account(context.seed, changed(Settings(), settings), now)
        self.tokens = Tokens(self.account, now)
        self.access = AccessCheck(self.account, self.tokens)
        self.reader = Reader(self.account)
        super().__init__(context)

    def configure(self, settings: Mapping[str, object]) -> None:
        """Change settings by name; the rate limit window restarts."""
        self.account.settings = changed(self.account.settings, settings)
        self.access.restart_windows()

    def routes(self) -> Sequence[Route]:
        """Return the routes; the tag is the OAuth scope that a call needs."""
        single_list, people = f"{API}/lists/{{listid}}", f"{API}/subscribers/{{listid}}"
        states = "|".join(STATES).lower()
        return (
            Route("POST", "/oauth/token", self.tokens.answer, _OPEN),
            Route("GET", f"{API}/systemdate.json", self._system_date),
            Route("GET", f"{API}/clients.json", self._clients),
            *self._client_routes(f"{API}/clients/{{clientid}}"),
            Route("POST", f"{API}/lists/{{clientid}}.json", self._of_client(lists.create), _LISTS),
            Route("GET", f"{single_list}.json", self._of_list(lists.details), _LISTS),
            Route("DELETE", f"{single_list}.json", self._of_list(lists.delete), _LISTS),
            Route("GET", f"{single_list}/stats.json", self._of_list(lists.stats), _LISTS),
            Route("GET", f"{single_list}/customfields.json", self._of_list(lists.custom_fields), _LISTS),
            Route("POST", f"{single_list}/customfields.json", self._of_list(lists.create_field), _LISTS),
            Route(
                "DELETE",
                f"{single_list}/customfields/{{key}}.json",
                self._of_list(lists.delete_field),
                _LISTS,
            ),
            Route("GET", f"{single_list}/{{state:{states}}}.json", self._of_list(self._page), _LISTS),
            Route("POST", f"{people}/import.json", self._of_list(subscribers.load), _PEOPLE),
            Route(
                "POST",
                f"{people}/unsubscribe.json",
                self._of_list(subscribers.unsubscribe),
                _PEOPLE,
            ),
            Route("POST", f"{people}.json", self._of_list(subscribers.add), _PEOPLE),
            Route("PUT", f"{people}.json", self._of_list(subscribers.update), _PEOPLE),
            Route("DELETE", f"{people}.json", self._of_list(subscribers.delete), _PEOPLE),
            Route("GET", f"{people}.json", self._of_list(self._person), _LISTS),
        )

    def _client_routes(self, client_path: str) -> Sequence[Route]:
        return (
            Route("GET", f"{client_path}.json", self._of_client(lists.client)),
            Route("GET", f"{client_path}/lists.json", self._of_client(lists.names), _LISTS),
            Route("GET", f"{client_path}/listsforemail.json", self._of_client(lists.holding), _LISTS),
            Route("GET", f"{client_path}/suppressionlist.json", self._of_client(self._suppressed), _LISTS),
            Route("POST", f"{client_path}/suppress.json", self._of_client(subscribers.suppress), _PEOPLE),
            Route("PUT", f"{client_path}/unsuppress.json", self._of_client(subscribers.unsuppress), _PEOPLE),
        )

    def admit(self, call: Call, route: Route, headers: dict[str, str]) -> None:
        """Check API key or token, then the scope, then the configured limits.

        Args:
            call: the request.
            route: the matching route; its tag is the OAuth scope.
            headers: receives the rate limit headers.
        """
        if route.tag != _OPEN:
            self.access.check_credentials(call, route.tag)
            self.access.check_limits(call, headers)

    def not_found(self, _call: Call) -> Reply:
        """Return the reply for a path that does not exist."""
        return error(404, 404)

    def refuse(self, _call: Call) -> Reply:
        """Return status 400 with code 400, as for a row that cannot be deserialised."""
        return error(400)

    def describe(self) -> Json:
        """Return base URL, credentials, audiences, custom fields and settings."""
        return inspection.describe(self.account, self.tokens, self.base_url)

    def audience(self, audience_id: str) -> Audience:
        """Return a list, or the suppression list."""
        return inspection.audience(self.account, audience_id)

    def people(self, people: Sequence[Json], audience_id: str | None) -> int:
        """Seed people with one of the vendor's states, or `suppressed`."""
        return inspection.seed(self.account, people, audience_id, self.context.clock.now())

    def actions(self) -> dict[str, Callable[[Json], object]]:
        """Return the vendor's own control actions by name."""
        return {
            "expire_tokens": lambda _: self.tokens.expire(self.context.clock.now()),
            "revoke_tokens": lambda _: self.tokens.revoke(),
            "change_address": self._change_address,
        }

    def _change_address(self, details: Json) -> object:
        """Change a contact's address, as a user does in the vendor's UI."""
        email, to = str(details.get("email", "")), str(details.get("to", ""))
        inspection.change_address(self.account, email, to, self.context.clock.now())
        return to

    def _of_list(self, rule: ListRule) -> Handler:
        """Return a handler that finds the list of the path's id and calls `rule` with it."""

        def handler(call: Call) -> Reply:
            mailing_list = self.account.client.lists.get(call.params["listid"])
            if mailing_list is None:
                raise refused(101, self.account.settings.unknown_list_status)
            return rule(self.account, mailing_list, call)

        return handler

    def _of_client(self, rule: ClientRule) -> Handler:
        """Return a handler that checks the client id in the path and calls `rule`."""

        def handler(call: Call) -> Reply:
            if call.params["clientid"] != self.account.client.id:
                raise refused(102, 401)
            return rule(self.account, call)

        return handler

    def _system_date(self, call: Call) -> Reply:
        return Reply.json({"SystemDate": self.account.date(call.now)})

    def _clients(self, _call: Call) -> Reply:
        client = self.account.client
        return Reply.json([{"ClientID": client.id, "Name": client.name}])

    def _suppressed(self, _account: Account, call: Call) -> Reply:
        return self.reader.suppressed(call)

    def _page(self, _account: Account, mailing_list: MailingList, call: Call) -> Reply:
        return self.reader.members(call, mailing_list, call.params["state"].capitalize())

    def _person(self, _account: Account, mailing_list: MailingList, call: Call) -> Reply:
        email = call.query.get("email", "")
        subscribers.check_address(email)
        person = mailing_list.subscribers.get(self.account.key(email))
        if person is None:
            raise refused(203)
        tracking = call.query.get("includetrackingpreference", "").lower() == "true"
        return Reply.json(self.reader.row(mailing_list, person, tracking=tracking))
