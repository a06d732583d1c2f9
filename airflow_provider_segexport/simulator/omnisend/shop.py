"""A brand (a store) with its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.wire import Call, Reply

from .access import VERSION, AccessCheck, ApiKey
from .batches import BatchRoutes
from .contacts import ContactRoutes
from .reads import Reader
from .segments import SegmentRoutes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .state import Account


class Shop:
    """The routes, access checks and state of one brand."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.access = AccessCheck(account)
        self.segments = SegmentRoutes(account)
        self.reader = Reader(account, self.segments)
        self.contacts = ContactRoutes(account, self.segments, self.reader)
        self.batches = BatchRoutes(account, self.reader)

    def key(self, permissions: Sequence[str] | None = None) -> ApiKey:
        """Create an API key, which has the form `<brand id>-<secret>`."""
        return ApiKey(f"{self.account.id}-{self.account.ids.hex(32)}", permissions)

    def brand(self, _call: Call) -> Reply:
        """Handle GET /brands/current."""
        return Reply.json(
            {
                "brandID": self.account.id,
                "name": self.account.name,
                "website": "https://shop.example.com",
                "currency": "EUR",
                "platform": "api",
                "timezone": "Europe/London",
                "connected": True,
                "version": VERSION,
            }
        )
