"""OAuth2 logins shared by processes without a common disk, against the simulator's rotating refresh tokens."""

from __future__ import annotations

import json
import multiprocessing
import pathlib
import random
import time
from dataclasses import asdict

import pytest
import requests

from airflow_provider_segexport.errors import AuthenticationFailed, RetryableError, Superseded
from airflow_provider_segexport.fencing import fenced
from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.http.oauth import Bearer, token_fingerprint
from airflow_provider_segexport.http.variable_lock import VariableLock
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.auth import ApiEndpoint, OAuthCredentials, OAuthToken
from airflow_provider_segexport.vendors.operations import run_operation

KEY = "segexport_token_cc"


class FolderVariables:
    """Named texts in a folder, with the delays of a database over a network."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def get(self, key: str) -> str | None:
        time.sleep(random.uniform(0, 0.03))
        path = self.folder / key
        try:
            return path.read_text()
        except FileNotFoundError:
            return None

    def set(self, key: str, text: str) -> None:
        time.sleep(random.uniform(0, 0.03))
        half = self.folder / f".{key}.{random.random()}"
        half.write_text(text)
        half.replace(self.folder / key)

    def delete(self, key: str) -> None:
        (self.folder / key).unlink(missing_ok=True)


class Store:
    def __init__(self, claims: VariableLock) -> None:
        self.claims = claims

    def load(self) -> tuple[OAuthToken, str] | None:
        text = self.claims.store.get(KEY)
        if not text:
            return None
        stored = json.loads(text)
        mark = stored.pop("mark")
        return OAuthToken(**stored), mark

    def save(self, token: OAuthToken, mark: str) -> None:
        self.claims.store.set(KEY, json.dumps({**asdict(token), "mark": mark}))

    def lock(self):
        return self.claims.hold(KEY + "_renewal")


def bearer(
    url: str, described_key: dict, variables: FolderVariables, machine: pathlib.Path, settle_s: float = 0.2
) -> Bearer:
    access = ApiEndpoint(base_url=url, is_default_url=False)
    claims = VariableLock(variables, time.time, time.sleep, locks=machine, write_visibility_s=settle_s)
    sign_in = OAuthCredentials(
        described_key["refresh_token"], described_key["client_id"], described_key.get("client_secret", "")
    )

    def refresh(token: str) -> OAuthToken:
        session = requests.Session()
        session.trust_env = False
        sender = Sender(lambda: session, constant_contact.VENDOR)
        now = time.time()
        return run_operation(
            constant_contact.account.refresh(
                access, OAuthCredentials(token, sign_in.client_id, sign_in.client_secret), now
            ),
            sender,
        )

    return Bearer(
        sign_in.refresh_token,
        Store(claims),
        refresh,
        is_expired=constant_contact.account.is_expired,
        on_secret=lambda _: None,
        clock=time.time,
        sleep=time.sleep,
    )


def one_process(url: str, described_key: dict, variables_folder: str, machine: str, out) -> None:
    pathlib.Path(machine).mkdir()
    try:
        out.put(
            bearer(
                url, described_key, FolderVariables(pathlib.Path(variables_folder)), pathlib.Path(machine)
            ).access_token()
        )
    except AuthenticationFailed as error:
        out.put(error)


def test_machines_that_refresh_at_once_end_with_one_token_and_one_call(tmp_path: pathlib.Path) -> None:
    """Four processes without a common lock file renew one rotating login: one call, and all have its token."""
    variables_folder = tmp_path / "shelf"
    variables_folder.mkdir()
    with Simulator() as sim:
        vendor = sim.describe()["vendors"]["constant_contact"]
        described_key = vendor["keys"]["public"]
        context = multiprocessing.get_context("spawn")
        out = context.Queue()
        workers = [
            context.Process(
                target=one_process,
                args=(vendor["base_url"], described_key, str(variables_folder), str(tmp_path / f"m{i}"), out),
            )
            for i in range(4)
        ]
        for worker in workers:
            worker.start()
        tokens = [out.get(timeout=60) for _ in workers]
        for worker in workers:
            worker.join(timeout=60)
        calls = [call for call in sim.requests() if call["path"].endswith("/token")]
    assert len(calls) == 1
    assert len({str(token) for token in tokens}) == 1
    assert all(isinstance(token, str) for token in tokens)


def test_a_rotated_token_is_stored_before_it_is_used(tmp_path: pathlib.Path) -> None:
    """The vendor's new token is stored by the time the first request is signed; a second machine uses it."""
    with Simulator() as sim:
        vendor = sim.describe()["vendors"]["constant_contact"]
        described_key = vendor["keys"]["main"]
        variables = FolderVariables(tmp_path)
        machine = tmp_path / "m"
        machine.mkdir()
        first = bearer(vendor["base_url"], described_key, variables, machine, 0.01).access_token()
        stored = json.loads(variables.get(KEY) or "")
        assert stored["access_token"] == first
        assert stored["refresh_token"] != described_key["refresh_token"]
        assert stored["mark"] == token_fingerprint(described_key["refresh_token"])
        assert bearer(vendor["base_url"], described_key, variables, machine, 0.01).access_token() == first
        assert len([call for call in sim.requests() if call["path"].endswith("/token")]) == 1


def test_a_rotated_away_token_says_how_to_sign_in_again(tmp_path: pathlib.Path) -> None:
    """The connection's refresh token was used elsewhere: `invalid_grant` is final, and the error names the command."""
    with Simulator() as sim:
        vendor = sim.describe()["vendors"]["constant_contact"]
        described_key = vendor["keys"]["main"]
        bearer(vendor["base_url"], described_key, FolderVariables(tmp_path), tmp_path, 0.01).access_token()
        (tmp_path / KEY).unlink()
        time.sleep(1)  # the token endpoint takes one call a second, and this one is not ours to pace
        with pytest.raises(AuthenticationFailed, match="airflow segexport login"):
            bearer(vendor["base_url"], described_key, FolderVariables(tmp_path), tmp_path, 0.01).access_token()


def test_a_new_refresh_token_in_the_connection_makes_the_stored_sign_in_void(tmp_path: pathlib.Path) -> None:
    """An administrator logs in again: the token that an earlier login left in the store is not used."""
    variables = FolderVariables(tmp_path)
    variables.set(
        KEY,
        json.dumps({**asdict(OAuthToken("old", "older", time.time() + 9_999)), "mark": token_fingerprint("another")}),
    )
    with Simulator() as sim:
        vendor = sim.describe()["vendors"]["constant_contact"]
        assert bearer(vendor["base_url"], vendor["keys"]["main"], variables, tmp_path, 0.01).access_token() != "old"


def test_calls_that_were_under_way_do_not_renew_again(tmp_path: pathlib.Path) -> None:
    """Four calls come back with 401 at once: the first renews, the others try with what it got."""
    with Simulator() as sim:
        vendor = sim.describe()["vendors"]["constant_contact"]
        signer = bearer(vendor["base_url"], vendor["keys"]["main"], FolderVariables(tmp_path), tmp_path, 0.01)
        signer.access_token()
        stale = Response(401, {}, b'{"error_key":"unauthorized","error_message":"Unauthorized"}')
        assert [signer.renew(stale) for _ in range(4)] == [True] * 4
        assert len([call for call in sim.requests() if call["path"].endswith("/token")]) == 1


def test_a_superseded_writer_sends_no_refresh_token(tmp_path: pathlib.Path) -> None:
    """The call of the login leaves after the check of the audience's lease, as every other call."""

    def superseded() -> None:
        raise Superseded("another run")

    with Simulator() as sim:
        vendor = sim.describe()["vendors"]["constant_contact"]
        signer = bearer(vendor["base_url"], vendor["keys"]["public"], FolderVariables(tmp_path), tmp_path, 0.01)
        with fenced(superseded), pytest.raises(Superseded, match="another run"):
            signer.access_token()
        assert sim.requests() == []
        assert signer.access_token()


def test_a_claim_of_the_dead_runs_out_and_one_of_the_living_makes_others_wait(tmp_path: pathlib.Path) -> None:
    """A lock that is still valid is waited for, and named in the error; one that has expired is taken over."""
    now = [1000.0]

    class Clocked(FolderVariables):
        def get(self, key: str) -> str | None:
            path = self.folder / key
            return path.read_text() if path.exists() else None

    def sleep(seconds: float) -> None:
        now[0] += seconds

    variables = Clocked(tmp_path)
    claims = VariableLock(variables, lambda: now[0], sleep, locks=tmp_path, hold_s=60, timeout_s=30)
    variables.set("k", json.dumps({"by": "somebody", "until": now[0] + 60}))
    with pytest.raises(RetryableError, match="Another machine"), claims.hold("k"):
        raise AssertionError
    now[0] += 60
    with claims.hold("k"):
        assert json.loads(variables.get("k") or "")["by"] != "somebody"
    assert variables.get("k") is None
