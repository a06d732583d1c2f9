"""The seconds after which a lease has expired, and the ledger of an account."""

from __future__ import annotations

from vendors.harness import VendorHarness

from airflow_provider_segexport.storage.lease_files import SKEW_S, TTL_S
from airflow_provider_segexport.storage.ledger import Ledger

RUNS_OUT_S = TTL_S + SKEW_S + 1


def ledger_of(account: VendorHarness) -> Ledger:
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    return Ledger.of(account.home, account.name, target)
