"""Links to audiences in the vendors' web applications: `vendor, audience -> URL`."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.vendors.base import Vendor


def page_link(vendor: Vendor, audience: Audience) -> str:
    """Return the URL of an audience in the vendor's web application.

    Return an empty string for a base URL without https, because only test servers such as the simulator have one. Their
    audiences do not exist at the vendor.
    """
    return vendor.audience_link(audience) if urlsplit(audience.base_url).scheme == "https" else ""
