"""Stored state: paths, run folders, journals, ledgers, leases, and the SQL engine that reads them."""
