"""All vendors, by name."""

from __future__ import annotations

from airflow_provider_segexport.vendors import campaign_monitor, constant_contact, dotdigital, omnisend
from airflow_provider_segexport.vendors.base import Vendor

VENDORS: dict[str, Vendor] = {
    vendor.name: vendor
    for vendor in (
        campaign_monitor.VENDOR,
        constant_contact.VENDOR,
        dotdigital.VENDOR,
        omnisend.VENDOR,
    )
}
