"""A brand at the simulated Omnisend whose contacts have tags of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vendors.harness import VendorHarness

from airflow_provider_segexport.model import Request, Response

OTHERS = {
    "p0@example.com": {"VIP"},
    "p1@example.com": {"VIP", "Lapsed"},
    "p2@example.com": {"Customers of the shop"},
    "p4@example.com": {"VIP"},
    "elsewhere@example.com": {"VIP"},
}
"""People that the brand has before the first export, with their tags."""

MODES = ["merge", "replace"]


class Killed(KeyboardInterrupt):
    """The worker has died."""


class Watched:
    """A sender whose calls a test observes before they are sent and after their responses."""

    def __init__(self, sender: Any, before: Callable[[Request], None], after: Callable[[Response], Response]) -> None:
        self._sender, self._before, self._after = sender, before, after

    def __call__(self, request: Request) -> Response:
        self._before(request)
        return self._after(self._sender(request))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sender, name)


class Brand(VendorHarness):
    """A brand with contacts and tags of others, of which nothing was learnt yet."""

    learnt = ""

    def __init__(self, sim, home, mode: str, **limits: object) -> None:
        super().__init__(sim, "omnisend", home, **limits)
        sim.configure({"omnisend": {"update_tags": mode}})
        for email, names in OTHERS.items():
            for name in names:
                sim.seed("omnisend", [{"email": email}], name)

    def tags(self) -> dict[str, set[str]]:
        """Return the tags of all contacts, after the vendor has applied all changes."""
        self.sim.clock.advance(120)
        return {
            str(member["email"]): set(member["tags"])
            for member in self.sim.members("omnisend", "all-contacts")["members"]
        }

    def assert_unharmed(self, *members: str) -> None:
        """Tags of others are as they were, these people alone have the audience's tag, and no temporary tag is left."""
        held = self.tags()
        assert set(members) == {email for email, names in held.items() if self.audience in names}
        assert {email: names for email, names in OTHERS.items() if names - held.get(email, set())} == {}
        assert [name for names in held.values() for name in names if name.startswith("segexport")] == []

    def watched(self, run: str, before=lambda _: None, after=lambda response: response):
        return self.environment(run, send=Watched(self.sender(), before, after))

    def value(self) -> str:
        fact = self.account_record().fact("tags_on_upsert")
        return fact.value if fact else ""

    def calls(self, method: str, path: str) -> list[dict[str, Any]]:
        calls = self.sim.requests(vendor="omnisend")
        return [call for call in calls if call["method"] == method and str(call["path"]).endswith(path)]
