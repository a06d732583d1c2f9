"""A run whose state is in object storage makes few requests to the store; they are counted at an S3 server."""

from __future__ import annotations

from collections import Counter

import pytest
from upath import UPath
from vendors.harness import people
from vendors.store_account import StoreAccount

MAX_REQUESTS = 39
"""Requests of a run besides those of the journal and the lease, each of which takes tens of milliseconds."""

MAX_JOURNAL_REQUESTS = 18
"""Requests of the journals of fifty batches: creating, reading and writing."""


class Counting:
    """An S3 server's application that counts requests by purpose and method."""

    def __init__(self, app) -> None:
        self.app, self.counts = app, Counter()

    def __call__(self, environ, start_response):
        text = environ["PATH_INFO"] + "?" + environ.get("QUERY_STRING", "").replace("%2F", "/")
        kind = "lease" if "/lease/" in text else "journal" if "/journal-" in text else "other"
        self.counts[kind, environ["REQUEST_METHOD"]] += 1
        return self.app(environ, start_response)

    def of(self, kind: str) -> dict[str, int]:
        return {method: count for (purpose, method), count in self.counts.items() if purpose == kind}


@pytest.fixture
def server():
    from s3 import new_bucket, s3_server  # noqa: PLC0415 - other tests do not wait for its import

    with s3_server() as running:
        new_bucket(f"http://127.0.0.1:{running.port}", "requests")
        yield running


def test_a_run_makes_few_requests(server, sim, tmp_path):
    """On the first day, and on the second, when every person has a new name and two have left."""
    from s3 import KEYS  # noqa: PLC0415 - as above

    options = {"client_kwargs": {"endpoint_url": f"http://127.0.0.1:{server.port}"}, "skip_instance_cache": True}
    root, plain = UPath("s3://requests/state", **KEYS, **options), server.app
    account = StoreAccount(sim, "campaign_monitor", tmp_path, root, batch_rows=2)
    for number, emails in enumerate((people(100), people(100)[2:]), 1):
        server.app = counting = Counting(plain)
        account.export_day(number, emails)
        others, journal = counting.of("other"), counting.of("journal")
        assert counting.of("lease")["GET"] >= 50  # before each call
        assert sum(others.values()) <= MAX_REQUESTS, others
        assert others["PUT"] <= 18, others
        assert sum(journal.values()) <= MAX_JOURNAL_REQUESTS, journal
    server.app = plain
    assert account.active() == set(people(100)[2:])
