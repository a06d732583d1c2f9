"""Changes of audiences in each vendor's simulator by another user: one row for each vendor with a directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_segexport.simulator.campaign_monitor.state import MailingList

Simulated = Any
"""The vendor in the simulator, of a class of its own."""


@dataclass(frozen=True)
class AudienceRow:
    """Changes of audiences, past the vendor's own checks.

    Attributes:
        create: method and path of the call that creates an audience.
        count: audiences of a large account, more than a page of their list holds if the list has pages.
        opens: adds an audience of a name.
        renames: gives an audience another name, which another one may have.
        deletes: deletes an audience.
        refuses_other_case: the vendor refuses a new name that differs from another one in case alone.
    """

    create: tuple[str, str]
    count: int
    opens: Callable[[Simulated, str], object]
    renames: Callable[[Simulated, str, str], object]
    deletes: Callable[[Simulated, str], object]
    refuses_other_case: bool = True


def _opens_campaign_monitor(vendor: Simulated, name: str) -> None:
    lists = vendor.account.client.lists
    made = MailingList(f"{len(lists):032x}", name)
    lists[made.id] = made


def _deletes_constant_contact(vendor: Simulated, audience: str) -> None:
    vendor.account.find_list(audience).deleted = vendor.context.clock.now()


AUDIENCE_ROWS: dict[str, AudienceRow] = {
    "campaign_monitor": AudienceRow(
        create=("POST", r"/lists/\w+\.json$"),
        count=1400,
        opens=_opens_campaign_monitor,
        renames=lambda vendor, audience, name: setattr(vendor.account.client.lists[audience], "title", name),
        deletes=lambda vendor, audience: vendor.account.client.lists.pop(audience),
        refuses_other_case=False,
    ),
    "constant_contact": AudienceRow(
        create=("POST", r"/contact_lists$"),
        count=980,  # of at most 1,000, in pages of 500
        opens=lambda vendor, name: vendor.account.open_list(name, vendor.context.clock.now()),
        renames=lambda vendor, audience, name: setattr(vendor.account.find_list(audience), "name", name),
        deletes=_deletes_constant_contact,
    ),
    "dotdigital": AudienceRow(
        create=("POST", r"/address-books$"),
        count=2345,  # in pages of 1,000
        opens=lambda vendor, name: vendor.account.open_book(name, "Private"),
        renames=lambda vendor, audience, name: setattr(vendor.account.books[int(audience)], "name", name),
        deletes=lambda vendor, audience: vendor.account.books.pop(int(audience)),
    ),
}


def audience_row(vendor: str) -> AudienceRow:
    """Return the vendor's row. A directory without a row is an error, because it would not be tested."""
    if vendor not in AUDIENCE_ROWS:
        raise LookupError(
            f"{vendor} has a directory and no row in tests/vendors/audience_rows.py: add one, as "
            "docs/adding-a-vendor.md says."
        )
    return AUDIENCE_ROWS[vendor]
