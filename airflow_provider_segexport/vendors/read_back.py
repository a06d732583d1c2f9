"""Reads back whether removals took effect, at a vendor that does not confirm them."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendors.base import OnPage, Vendor

READ_BACK_DELAYS_S = (0.0, 5.0, 15.0, 40.0, 60.0)
"""Seconds before each read-back: vendors process removals in the background, and report no progress."""


def members_among(vendor: Vendor, audience: Audience, emails: Sequence[str], on_page: OnPage) -> Operation[None]:
    """Return the operation that reads which of some people are members, in the fewest calls that the vendor offers.

    Args:
        vendor: of the audience.
        audience: to look in.
        emails: of the people. A vendor that cannot look people up lists every member, so others may be reported too.
        on_page: takes the members, one page at a time.
    """
    if vendor.removal is not None and vendor.removal.find_members is not None:
        return vendor.removal.find_members(audience, emails, on_page)
    return vendor.list_members(audience, on_page)
