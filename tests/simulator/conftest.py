"""One simulator for the session, reset for every test, and a client for each vendor."""

from __future__ import annotations

import pytest
import requests
from simulator.constant_contact_client import ConstantContact
from simulator.omnisend_client import Omnisend
from simulator.specifications import SPECS, check_exchange

from airflow_provider_segexport.simulator import ManualClock, Simulator


@pytest.fixture(scope="session")
def simulator():
    with Simulator(clock=ManualClock(), seed=1) as running:
        yield running


@pytest.fixture
def sim(simulator):
    simulator.reset(seed=1, latency=0.0, log_body_bytes=1_000_000)
    return simulator


@pytest.fixture
def control(sim):
    """Speak to the control API: `control("POST", "/reset", {...})`."""

    def call(method, path, body=None):
        return requests.request(method, f"{sim.url}/_sim{path}", json=body, timeout=10)

    return call


class Client:
    """Calls below a base URL with credentials; `check` sees every exchange."""

    def __init__(self, base, auth, check=None):
        self.base = base
        self.session = requests.Session()
        self.session.auth = auth
        self.check = check

    def __call__(self, method, path, body=None, *, check=True, **options):
        options.setdefault("timeout", 10)
        if body is not None:
            options["json"] = body
        reply = self.session.request(method, self.base + path, **options)
        if check and self.check:
            self.check(method, path.partition("?")[0], body, reply)
        return reply


class CampaignMonitor(Client):
    def __init__(self, described):
        super().__init__(described["api_url"].rstrip("/"), (described["credentials"]["api_key"], "x"))
        self.described = described
        self.client = described["client"]["id"]
        self.list, self.other_list, _, self.opt_in_list = (item["id"] for item in described["audiences"])

    def load(self, *people, **switches):
        """Import people, given as addresses or rows."""
        rows = [{"EmailAddress": row} if isinstance(row, str) else row for row in people]
        return self("POST", f"/subscribers/{self.list}/import.json", {"Subscribers": rows, **switches})

    def emails(self, state):
        page = self("GET", f"/lists/{self.list}/{state}.json").json()
        return [row["EmailAddress"] for row in page["Results"]]


class Dotdigital(Client):
    def __init__(self, described, clock, check):
        credentials = described["credentials"]
        super().__init__(described["base_url"], (credentials["username"], credentials["password"]), check)
        self.described = described
        self.clock = clock
        self.book, self.other_book, _ = (item["id"] for item in described["audiences"])

    def contact(self, email, **more):
        return {"matchIdentifier": "email", "identifiers": {"email": email}, "lists": [self.book], **more}

    def start(self, *contacts, **options):
        """Send an import; addresses stand for plain contacts."""
        rows = [self.contact(row) if isinstance(row, str) else row for row in contacts]
        return self("PUT", "/contacts/v3/import", {"contacts": rows, **options})

    def status(self, import_id):
        return self("GET", f"/contacts/v3/import/{import_id}").json()

    def load(self, *contacts, **options):
        """Send an import, wait until it is done, return its report."""
        reply = self.start(*contacts, **options)
        assert reply.status_code == 202, reply.text
        self.clock.advance(10)
        return self.status(reply.json()["importId"])

    def show(self, email):
        return self("GET", f"/contacts/v3/email/{email}").json()


@pytest.fixture
def cm(sim):
    return CampaignMonitor(sim.describe()["vendors"]["campaign_monitor"])


@pytest.fixture
def dd(sim):
    check = check_exchange if SPECS.is_dir() else None
    return Dotdigital(sim.describe()["vendors"]["dotdigital"], sim.clock, check)


@pytest.fixture
def cc(sim):
    return ConstantContact(sim)


@pytest.fixture
def om(sim):
    return Omnisend(sim)
