"""The device flow, against the simulator with its clock in hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
import requests

from airflow_provider_segexport.errors import AuthenticationFailed
from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.simulator import ManualClock, Simulator
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.auth import ApiEndpoint, DevicePrompt, OAuthCredentials, OAuthToken
from airflow_provider_segexport.vendors.operations import run_operation


def sign_in(sim: Simulator, decide, key: str = "main") -> OAuthToken:
    """Run the flow; `decide` is called when the person sees the invitation."""
    vendor = sim.describe()["vendors"]["constant_contact"]
    described_key = vendor["keys"][key]
    session = requests.Session()
    session.trust_env = False
    sender = Sender(lambda: session, constant_contact.VENDOR, sleep=sim.clock.advance, clock=sim.clock.now)
    oauth = constant_contact.VENDOR.oauth
    assert oauth
    assert oauth.device_login
    operation = oauth.device_login(
        ApiEndpoint(vendor["base_url"], is_default_url=False),
        OAuthCredentials("", described_key["client_id"], described_key.get("client_secret", "")),
        decide,
        sim.clock.now,
    )
    return run_operation(operation, sender, sim.clock.advance)


@pytest.mark.parametrize("key", ["main", "public"])
def test_a_person_approves_and_the_refresh_token_arrives(key: str) -> None:
    """A confidential and a public client get a token pair once the code is approved; the address holds the code."""
    shown: list[DevicePrompt] = []
    with Simulator(clock=ManualClock()) as sim:

        def approve(invitation: DevicePrompt) -> None:
            shown.append(invitation)
            sim.act("constant_contact", "approve_device", {"user_code": invitation.code})

        token = sign_in(sim, approve, key)
        assert token.refresh_token
        assert token.expires_at > sim.clock.now()
    assert shown[0].code in shown[0].url


def test_waiting_keeps_the_interval_that_the_vendor_asks_for() -> None:
    """While the person thinks, polls are five seconds apart, as the vendor asks, and stop when the code has expired."""
    with Simulator(clock=ManualClock(), settings={"constant_contact": {"device_seconds": 60}}) as sim:
        with pytest.raises(AuthenticationFailed, match=r"To fix: run the command again"):
            sign_in(sim, lambda _: None)
        times = [call["time"] for call in sim.requests() if call["path"].endswith("/token")]
    assert 5 <= len(times) <= 12
    assert all(later - earlier >= 5 for earlier, later in pairwise(times))


def test_a_declined_sign_in_says_so() -> None:
    """The person says no: the command ends with that, and no token."""
    with Simulator(clock=ManualClock()) as sim, pytest.raises(AuthenticationFailed, match="declined"):
        sign_in(sim, lambda device: sim.act("constant_contact", "deny_device", {"user_code": device.code}))
