"""Links to audiences in the vendors' web applications: `vendor, audience -> URL`."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.vendors.base import Vendor


def page_link(vendor: Vendor, audience: Audience) -> str:
    """Return the URL of an audience in the vendor's web application.

    It is empty if the connection leads to a test server such as the simulator: there is no such audience at the vendor.
    Vendors are reached through https alone.
    """
    return vendor.audience_link(audience) if urlsplit(audience.base_url).scheme == "https" else ""
