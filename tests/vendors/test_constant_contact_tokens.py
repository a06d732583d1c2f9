"""Constant Contact: access tokens that end, refresh tokens that rotate, and logins that tasks share."""

from __future__ import annotations

import contextlib
import threading
from itertools import pairwise

import pytest
from vendors.constant_contact import Lists, TokenStore, renewing, sign_in
from vendors.harness import people

from airflow_provider_segexport.errors import AuthenticationFailed, RetryableError
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.simulator import ManualClock, Simulator
from airflow_provider_segexport.vendors.operations import run_operation


def exported(lists, bearer, name="run", count=3):
    """Export through a login that renews itself."""
    environment = lists.environment(name, send=renewing(lists, bearer))
    segment = lists.segment({"email": people(count)}, f"{name}.parquet")
    try:
        return Export(lists.vendor, lists.endpoint, lists.config(segment), environment).run()["counts"]
    finally:
        environment.http.close()


def renewals(lists):
    return [call["status"] for call in lists.calls("POST", "/token")]


class TestSignIn:
    """Access tokens end after a day, and a rotating refresh token works once."""

    @pytest.mark.parametrize("key", ["main", "public", "long_lived"])
    def test_every_kind_of_application(self, lists, key):
        """Confidential, public with its id in the form, and one whose refresh token stays."""
        store = TokenStore()
        assert 3 == exported(lists, sign_in(lists, store, key))["delivered"]
        assert [200] == renewals(lists)
        stored = store.load()[0].refresh_token
        assert (stored == lists.described["keys"][key]["refresh_token"]) == (key == "long_lived")
        form = lists.calls("POST", "/token")[0]
        assert ("client_id" in form["body"], "authorization" in form["headers"]) == (key == "public", key != "public")

    def test_one_access_token_serves_a_day_of_exports(self, lists):
        """Refreshing before each call would meet the token endpoint's own limit."""
        store = TokenStore()
        for run in range(3):
            exported(lists, sign_in(lists, store), f"run {run}")
        assert [200] == renewals(lists)

    def test_a_token_that_ends_soon_is_renewed_before_it_is_used(self, lists):
        """No call is spent on finding out."""
        store = TokenStore()
        exported(lists, sign_in(lists, store), "one")
        lists.sim.clock.advance(86_400 - 100)
        exported(lists, sign_in(lists, store), "two")
        assert [200, 200] == renewals(lists)
        assert 401 not in [call["status"] for call in lists.calls()]

    def test_a_token_that_ends_in_the_middle(self, sim, tmp_path):
        """The first 401 renews it, once for all calls under way, and every batch arrives."""
        lists = Lists(sim, tmp_path, batch_rows=2)
        bearer = sign_in(lists, TokenStore())
        bearer.access_token()
        sim.clock.advance(60)
        lists.act("expire_tokens")
        assert 16 == exported(lists, bearer, count=16)["delivered"]
        assert [200, 200] == renewals(lists)
        assert 1 == [call["status"] for call in lists.calls()].count(401)

    def test_a_fresh_sign_in_that_is_refused(self, lists):
        """Renewed this moment and refused at once: it is not renewed again and again."""
        bearer = sign_in(lists, TokenStore())
        bearer.access_token()
        lists.act("revoke_tokens")
        with pytest.raises(
            AuthenticationFailed, match=r"has expired or was revoked. To fix: run .airflow segexport login"
        ):
            exported(lists, bearer)
        assert [200] == renewals(lists)

    def test_a_sign_in_that_was_taken_back(self, lists):
        """The person has revoked it: final, and the error says what an administrator must do."""
        bearer = sign_in(lists, TokenStore())
        bearer.access_token()
        lists.sim.clock.advance(60)
        lists.act("revoke_tokens")
        with pytest.raises(AuthenticationFailed, match=r"revoked, or unused for 180 days.*airflow segexport login"):
            exported(lists, bearer)
        assert [] == lists.upserts()

    def test_a_refresh_token_that_was_used_elsewhere(self, lists):
        """A rotated-away token is not tried again and again: it stays dead."""
        exported(lists, sign_in(lists, TokenStore()), "here")
        with pytest.raises(AuthenticationFailed, match="a rotating token works once"):
            exported(lists, sign_in(lists, TokenStore()), "there")
        assert [200, 400] == renewals(lists)

    def test_half_a_year_without_use(self, lists):
        """A refresh token expires if it is not used."""
        lists.sim.clock.advance(181 * 86_400)
        with pytest.raises(AuthenticationFailed, match="unused for 180 days"):
            exported(lists, sign_in(lists, TokenStore()))

    def test_a_wrong_client_secret(self, lists):
        """No new login is needed for that: the connection is wrong."""
        described_key = lists.described["keys"]["main"]
        lists.described = {**lists.described, "keys": {"main": {**described_key, "client_secret": "s3cret"}}}
        with pytest.raises(AuthenticationFailed, match="does not accept the client id and secret"):
            exported(lists, sign_in(lists, TokenStore()))

    def test_the_token_endpoint_is_busy(self, lists):
        """One call a second: a 429 there is waited for, and the export goes on."""
        lists.sim.faults([{"vendor": lists.name, "path": "/token", "status": 429, "body": "Too Many Requests"}])
        assert 3 == exported(lists, sign_in(lists, TokenStore()))["delivered"]
        assert [429, 200] == renewals(lists)
        assert [1.0] == lists.slept

    @pytest.mark.parametrize("body", [{"error": "server_error"}, {"error": "temporarily_unavailable"}, {}])
    def test_the_token_endpoint_says_something_else(self, lists, body):
        """Only `invalid_grant` is final: anything else may pass."""
        line = {"vendor": lists.name, "path": "/token", "status": 400, "body": body, "count": 0}
        lists.sim.faults([line])
        with pytest.raises(RetryableError, match="token endpoint answered 400"):
            exported(lists, sign_in(lists, TokenStore()))

    def test_two_renewals_keep_a_second_apart(self, lists):
        """The stored login records the time of the last one, for every machine."""
        store = TokenStore()
        bearer = sign_in(lists, store)
        bearer.access_token()
        lists.act("expire_tokens")
        other = sign_in(lists, store)
        assert other.renew(Response(401, {}, b'{"error_key":"unauthorized"}')) is True
        other.access_token()
        times = [call["time"] for call in lists.calls("POST", "/token")]
        assert times == sorted(times)
        assert all(later - earlier >= 1 for earlier, later in pairwise(times))
        assert 429 not in renewals(lists)

    def test_two_tasks_at_once_renew_once(self, tmp_path):
        """Both have a token that the vendor calls old: one renews, the other picks up what it got."""
        with Simulator(clock=ManualClock(), seed=1) as sim:
            lists = Lists(sim, tmp_path)
            store = LockedStore()
            sign_in(lists, store).access_token()
            sim.clock.advance(60)
            lists.act("expire_tokens")
            gate, counts = threading.Barrier(2), []

            def look():
                bearer = sign_in(lists, store)
                bearer.access_token()
                send = renewing(lists, bearer)
                gate.wait()
                counts.append(run_operation(lists.vendor.resolve_audience(lists.endpoint, None), send).account_name)
                send.close()

            threads = [threading.Thread(target=look) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert 2 == len(counts)
            assert [200, 200] == renewals(lists)

    def test_no_secret_is_shown(self, lists, messages):
        """Neither a token nor the client's secret is in an error."""
        bearer = sign_in(lists, TokenStore())
        access = bearer.access_token()
        lists.act("revoke_tokens")
        with pytest.raises(AuthenticationFailed):
            exported(lists, bearer)
        described_key = lists.described["keys"]["main"]
        assert [] == [
            message for message in messages for secret in (access, described_key["client_secret"]) if secret in message
        ]


class LockedStore(TokenStore):
    """One holder at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.held_by_one = threading.Lock()

    @contextlib.contextmanager
    def lock(self):
        with self.held_by_one:
            yield lambda: None


def test_the_first_try_of_a_call_is_the_only_one_after_a_401_that_cannot_be_mended(lists):
    """A static token that is wrong is an error at once."""
    lists.act("expire_tokens")
    with pytest.raises(AuthenticationFailed, match="expired or was revoked"):
        lists.call(lists.vendor.resolve_audience(lists.endpoint, None))
    assert [401] == [call["status"] for call in lists.calls()]
