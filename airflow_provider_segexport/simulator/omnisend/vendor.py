"""The simulated Omnisend: two brands behind one API; the API key selects the brand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.people import Ids
from airflow_provider_segexport.simulator.routes import Route
from airflow_provider_segexport.simulator.settings import ControlError, changed
from airflow_provider_segexport.simulator.vendor import Audience, Json, Vendor
from airflow_provider_segexport.simulator.wire import Call, Reply

from . import inspection
from .access import check_version
from .batch import ItemFault
from .errors import Problem, wrong
from .inspection import OTHER
from .settings import Settings
from .shop import Shop
from .state import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_segexport.simulator.vendor import Context

    from .access import ApiKey

    Rule = Callable[[Shop, Call], Reply]

API = "/api"
_READ_ONLY = ("contacts.read", "segments.read", "brands.read")
_POOLS = ("all", "tags", "segment_reads", "segment_writes")


class Omnisend(Vendor):
    """Omnisend with two stores: one of the keys main and read_only, the other of the key other_store."""

    name = "omnisend"

    def __init__(self, context: Context, settings: Mapping[str, object]) -> None:
        self.context = context
        self._calls = 0
        wanted = changed(Settings(), settings)
        ids, now = Ids(context.seed, self.name), context.clock.now()
        self.shop = Shop(Account(ids, "Example Shop", wanted, now, lambda: self.base_url))
        self.other = Shop(Account(ids, "Other Shop", wanted, now, lambda: self.base_url))
        self.keys: dict[str, tuple[Shop, ApiKey]] = {
            "main": (self.shop, self.shop.key()),
            "read_only": (self.shop, self.shop.key(_READ_ONLY)),
            "other_store": (self.other, self.other.key()),
        }
        self._access = {key.value: (shop, key) for shop, key in self.keys.values()}
        super().__init__(context)

    def configure(self, settings: Mapping[str, object]) -> None:
        """Change settings by name; rate limit windows restart."""
        wanted = changed(self.shop.account.settings, settings)
        for shop in (self.shop, self.other):
            shop.account.settings = wanted
            shop.access.restart_windows()

    def settle(self) -> None:
        """Finish the batches and tag changes that are due."""
        for shop in (self.shop, self.other):
            shop.account.settle(self.context.clock.now())

    def routes(self) -> Sequence[Route]:
        """Return the routes; the tag has the permission and the rate limit pool."""
        people, contact_path = f"{API}/contacts", f"{API}/contacts/{{contact}}"
        batches, batch = f"{API}/batches", f"{API}/batches/{{batch}}"
        segments, segment = f"{API}/segments", f"{API}/segments/{{segment}}"
        read, write, poll = "contacts.read all", "contacts.write all", "batches.read all"
        tags = "contacts.write tags"
        see, make = "segments.read segment_reads", "segments.write segment_writes"
        return (
            self._route("GET", f"{API}/brands/current", lambda shop, call: shop.brand(call), "brands.read all"),
            self._route("GET", people, lambda shop, call: shop.reader.page(call), read),
            self._route("POST", people, lambda shop, call: shop.contacts.create(call), write),
            self._route("PATCH", people, lambda shop, call: shop.contacts.patch_by_email(call), write),
            self._route("POST", f"{people}/tags", lambda shop, call: shop.contacts.add_tags(call), tags),
            self._route("DELETE", f"{people}/tags", lambda shop, call: shop.contacts.remove_tags(call), tags),
            self._route("GET", contact_path, lambda shop, call: shop.contacts.show(call), read),
            self._route("PATCH", contact_path, lambda shop, call: shop.contacts.patch(call), write),
            self._route("GET", batches, lambda shop, call: shop.batches.all(call), poll),
            self._route("POST", batches, lambda shop, call: shop.batches.create(call), write),
            self._route("GET", batch, lambda shop, call: shop.batches.single(call), poll),
            self._route("GET", f"{batch}/items", lambda shop, call: shop.batches.items(call), poll),
            self._route("GET", segments, lambda shop, call: shop.segments.all(call), see),
            self._route("POST", segments, lambda shop, call: shop.segments.create(call), make),
            self._route("GET", segment, lambda shop, call: shop.segments.single(call), see),
            self._route("PUT", segment, lambda shop, call: shop.segments.change(call), make),
            self._route(
                "DELETE", segment, lambda shop, call: shop.segments.delete(call), "segments.write segment_reads"
            ),
            self._route("GET", f"{segment}/statistics", lambda shop, call: shop.segments.statistics(call), see),
        )

    def _route(self, method: str, template: str, rule: Rule, tag: str) -> Route:
        """Return a route whose handler calls `rule` with the brand of the API key, and replies with its `Problem`."""

        def handler(call: Call) -> Reply:
            try:
                return rule(self._access_of(call)[0], call)
            except Problem as problem:
                raise problem.refusal(self._trace()) from None

        return Route(method, template, handler, tag)

    def admit(self, call: Call, route: Route, headers: dict[str, str]) -> None:
        """Check key, version, rate limits, permission and body size.

        Args:
            call: the request.
            route: the matching route; its tag has the permission and the rate limit pool.
            headers: receives the rate limit headers, if the settings ask for them.
        """
        if self.shop.account.settings.rate_headers:
            headers |= {"X-RateLimit-Limit": "400", "X-RateLimit-Remaining": "399", "X-RateLimit-Reset": "60"}
        permission, pool = route.tag.split()
        try:
            shop, key = self._access_of(call)
            check_version(call)
            shop.access.check_limits(call, pool)
            shop.access.check_permission(key, permission)
            shop.access.check_size(call)
        except Problem as problem:
            raise problem.refusal(self._trace()) from None

    def _access_of(self, call: Call) -> tuple[Shop, ApiKey]:
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            call.note("OAuth is not simulated: use Authorization: Omnisend-API-Key <key>")
        access = self._access.get(value.strip()) if scheme.lower() == "omnisend-api-key" else None
        if access is None:
            raise Problem(401)
        return access

    def _trace(self) -> str:
        self._calls += 1
        return f"00000000-0000-4000-8000-{self._calls:012x}"

    def not_found(self, call: Call) -> Reply:
        """Return the reply for a path that does not exist."""
        return Problem(404, f"{call.method} {call.path} not found.").reply(self._trace())

    def refuse(self, _call: Call) -> Reply:
        """Return status 400, as for a body that does not match the schema."""
        return wrong("items", "Must be an array", "invalid_type").reply(self._trace())

    def describe(self) -> Json:
        """Return base URL, credentials, audiences, custom fields and settings."""
        keys = {name: key.value for name, (_, key) in self.keys.items()}
        return inspection.describe(self.shop.account, keys, self.base_url)

    def audience(self, audience_id: str) -> Audience:
        """Return the people with a tag, all people, or all people of the other store."""
        shop = self.other if audience_id == OTHER else self.shop
        return inspection.audience(shop.account, audience_id)

    def people(self, people: Sequence[Json], audience_id: str | None) -> int:
        """Seed people with a status of the vendor or a vendor-neutral one."""
        return inspection.seed(self.shop.account, people, audience_id, self.context.clock.now())

    def actions(self) -> dict[str, Callable[[Json], object]]:
        """Return the vendor's own control actions by name."""
        account = self.shop.account
        return {
            "spend": self._spend,
            "script_jobs": self._script_jobs,
            "stop_batches": self._stop_batches,
            "fail_items": self._fail_items,
            "change_address": self._change_address,
            "unsubscribe": lambda details: self._enter(details, "unsubscribed"),
            "subscribe": lambda details: self._enter(details, "subscribed"),
            "audit": lambda _: {"counts": dict(account.audit.counts), "events": account.audit.events},
        }

    def _spend(self, details: Json) -> object:
        """Count calls of other clients of the brand."""
        calls, pool = details.get("calls"), details.get("pool", "all")
        if not isinstance(calls, int) or pool not in _POOLS:
            raise ControlError(f'spend takes {{"calls": 300, "pool": "all"}}; pools are: {", ".join(_POOLS)}')
        return self.shop.access.spend(calls, str(pool), self.context.clock.now())

    def _script_jobs(self, details: Json) -> object:
        """Assign scripted states to the next batches; each poll returns the next state."""
        scripts = details.get("scripts")
        if not isinstance(scripts, list) or not all(isinstance(item, list) for item in scripts):
            raise ControlError('script_jobs takes {"scripts": [["pending", "finished"], ..]}')
        self.shop.account.batches.script(scripts)
        return len(scripts)

    def _stop_batches(self, details: Json) -> object:
        """Stop each of the next batches after a number of items; an empty list cancels the planned stops."""
        after = details.get("after")
        if not isinstance(after, list) or not all(type(number) is int for number in after):
            raise ControlError('stop_batches takes {"after": [10, 0]}: items done before the stop')
        if not after:
            self.shop.batches.stops.clear()
        self.shop.batches.stops.extend(after)
        return len(self.shop.batches.stops)

    def _fail_items(self, details: Json) -> object:
        """Make items of batches fail: those with an address, or every nth item, a number of times."""
        self.shop.batches.faults.append(changed(ItemFault(), details))
        return len(self.shop.batches.faults)

    def _change_address(self, details: Json) -> object:
        """Change a contact's address, as a user does in the vendor's UI."""
        email, to = str(details.get("email", "")), str(details.get("to", ""))
        inspection.change_address(self.shop.account, email, to, self.context.clock.now())
        return to

    def _enter(self, details: Json, status: str) -> object:
        """Set a person's status, as if they had subscribed or unsubscribed themselves."""
        account, email = self.shop.account, str(details.get("email", ""))
        contact = account.by_email.get(account.key(email))
        if contact is None:
            raise ControlError(f"No contact has the address {email!r}.")
        now = self.context.clock.now()
        account.set_status(contact, status, now, now, f"{status} by the person")
        return status
