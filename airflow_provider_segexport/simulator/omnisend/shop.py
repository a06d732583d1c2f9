"""One brand with all its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.wire import Call, Reply

from .access import VERSION, AccessCheck, ApiKey
from .batches import BatchDesk
from .contacts import ContactDesk
from .reads import Reader
from .segments import SegmentDesk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .state import Account


class Shop:
    """The desks of one brand."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.access = AccessCheck(account)
        self.segments = SegmentDesk(account)
        self.reader = Reader(account, self.segments)
        self.contacts = ContactDesk(account, self.segments, self.reader)
        self.batches = BatchDesk(account, self.reader)

    def key(self, permissions: Sequence[str] | None = None) -> ApiKey:
        """Make an API key: the brand's id, a hyphen, a secret."""
        return ApiKey(f"{self.account.id}-{self.account.ids.hex(32)}", permissions)

    def brand(self, _call: Call) -> Reply:
        """Answer GET /brands/current."""
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
