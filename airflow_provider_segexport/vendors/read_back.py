"""Checks whether removals took effect at a vendor that does not confirm them."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendors.base import OnPage, Vendor

READ_BACK_DELAYS_S = (0.0, 5.0, 15.0, 40.0, 60.0)
"""Seconds before each read-back: vendors process removals in the background, and report no progress."""


def members_among(vendor: Vendor, audience: Audience, emails: Sequence[str], on_page: OnPage) -> Operation[None]:
    """Return the operation that reads which people of a group are members, in the fewest calls that the vendor offers.

    Args:
        vendor: the vendor of the audience.
        audience: the audience to read.
        emails: addresses of the people. A vendor without a look-up lists every member, so `on_page` may also receive
            other people.
        on_page: receives the members, one page at a time.
    """
    if vendor.removal is not None and vendor.removal.find_members is not None:
        return vendor.removal.find_members(audience, emails, on_page)
    return vendor.list_members(audience, on_page)
