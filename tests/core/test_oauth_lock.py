"""A process that is suspended while it renews a login does not destroy the login that another one has renewed since."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from airflow_provider_segexport import fencing
from airflow_provider_segexport.errors import AuthenticationFailed, RetryableError, Superseded
from airflow_provider_segexport.http.oauth import Bearer
from airflow_provider_segexport.http.variable_lock import VariableLock
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.vendors.auth import OAuthToken

KEY, FIRST = "login", "refresh-0"
EXPIRED = Response(401, {}, b"{}", "")


class TokenIssuer:
    """A vendor with refresh tokens of one use, a text store, and the time."""

    def __init__(self, *, grace: bool = False) -> None:
        self.now = 1e9
        self.valid, self.grace = [FIRST], grace
        self.issued = 0
        self.sent: list[str] = []
        self.refused: list[str] = []
        self.texts: dict[str, str] = {}
        self.steps = 0
        self.stop_at, self.meanwhile = 0, lambda: None

    def exchange(self, process: str, refresh_token: str) -> OAuthToken:
        """Accept the newest refresh token, and with `grace` the one before too, as some vendors do."""
        self.sent.append(process)
        if refresh_token not in self.valid:
            self.refused.append(process)
            raise AuthenticationFailed("invalid_grant")
        self.issued += 1
        self.valid = [f"refresh-{self.issued}", *([refresh_token] if self.grace else [])]
        return OAuthToken(f"access-{self.issued}", self.valid[0], self.now + 3600, self.now)

    def step(self) -> None:
        """Another process goes on while this one is suspended here."""
        self.steps += 1
        if self.steps == self.stop_at:
            with ThreadPoolExecutor(1) as others:
                others.submit(self.meanwhile).result()


class Process:
    """A process on a machine of its own; the one that `stops` may be suspended at each of its steps."""

    def __init__(self, issuer: TokenIssuer, locks: Path, name: str, *, stops: bool = False) -> None:
        locks.mkdir(exist_ok=True)
        self.issuer, self.name = issuer, name
        self.step: Callable[[], None] = issuer.step if stops else lambda: None
        self.lock_ = VariableLock(self, lambda: issuer.now, self._sleep, locks=locks)
        self.bearer = Bearer(
            FIRST,
            self,
            self._refresh,
            is_expired=lambda _: True,
            on_secret=lambda _: None,
            clock=lambda: issuer.now,
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.issuer.now += seconds

    def _refresh(self, refresh_token: str) -> OAuthToken:
        self.step()
        fencing.check_fence()  # as the HTTP client does, and again if the process was suspended since
        token = self.issuer.exchange(self.name, refresh_token)
        self.step()
        return token

    def renew(self) -> None:
        """As if the vendor refused the access token half an hour later."""
        self.issuer.now += 1800
        assert self.bearer.renew(EXPIRED)

    def get(self, key: str) -> str | None:
        self.step()
        text = self.issuer.texts.get(key)
        self.step()
        return text

    def set(self, key: str, text: str) -> None:
        self.step()
        self.issuer.texts[key] = text

    def delete(self, key: str) -> None:
        self.issuer.texts.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.issuer.texts if key.startswith(prefix)]

    def load(self) -> tuple[OAuthToken, str] | None:
        text = self.get(KEY)
        content = json.loads(text) if text else None
        return (OAuthToken(**content["token"]), content["fingerprint"]) if content else None

    def save(self, token: OAuthToken, fingerprint: str) -> None:
        self.set(KEY, json.dumps({"token": asdict(token), "fingerprint": fingerprint}))

    def lock(self):
        return self.lock_.hold(f"{KEY}_renewal")


def suspended_once(tmp_path: Path, at: int, *, grace: bool) -> tuple[TokenIssuer, Process, Process]:
    """One process renews and is suspended at a step; in between, another one renews twice."""
    issuer = TokenIssuer(grace=grace)
    other = Process(issuer, tmp_path / "other", "other")
    other.bearer.access_token()
    sleeper = Process(issuer, tmp_path / "sleeper", "sleeper", stops=True)
    sleeper.bearer.access_token()

    def meanwhile() -> None:
        issuer.now += 1000  # the claim of the sleeper runs out
        for _ in range(2):
            with suppress(AuthenticationFailed):  # the vendor's response to the sleeper is not stored yet
                other.renew()
        issuer.now += 1000

    issuer.steps, issuer.stop_at, issuer.meanwhile = 0, at, meanwhile
    with suppress(RetryableError):  # its wait for the lock is over
        sleeper.renew()
    issuer.stop_at = 0
    return issuer, sleeper, other


@pytest.mark.parametrize("grace", [False, True], ids=["one use", "one use and a grace"])
def test_whenever_a_process_is_suspended_the_login_survives(tmp_path, grace):
    """Both go on, and so does a new process; a refresh token is never sent without the lock."""
    suspended = 0
    for at in range(1, 40):
        issuer, sleeper, other = suspended_once(tmp_path, at, grace=grace)
        assert "sleeper" not in issuer.refused, f"suspended at step {at}"
        suspended += issuer.steps >= at
        for process in (other, sleeper, Process(issuer, tmp_path / "new", "new"), other):
            process.renew()
    assert suspended > 12


def test_a_superseded_writer_of_an_audience_renews_no_login(tmp_path):
    """The check of the audience's lease comes before the refresh token leaves, too."""
    issuer = TokenIssuer()
    process = Process(issuer, tmp_path / "one", "one")

    def superseded() -> None:
        raise Superseded("another run")

    with fencing.fenced(superseded), pytest.raises(Superseded, match="another run"):
        process.bearer.access_token()
    assert issuer.sent == []
    assert process.bearer.access_token() == "access-1"


@pytest.mark.parametrize("ahead_s", [3600.0, 86_400.0])
def test_a_login_that_a_machine_with_a_fast_clock_has_renewed(tmp_path, ahead_s):
    """It is renewed at once when the vendor refuses it, without waiting for the other machine's time."""
    issuer = TokenIssuer()
    issuer.now += ahead_s
    Process(issuer, tmp_path / "fast", "fast").bearer.access_token()
    issuer.now -= ahead_s
    slow = Process(issuer, tmp_path / "slow", "slow")
    slow.bearer.access_token()
    started_at = issuer.now
    slow.bearer.renew(EXPIRED)
    assert slow.bearer.access_token() == "access-2"
    assert issuer.now - started_at < 10


def test_a_process_of_the_same_machine_that_is_suspended_while_it_holds_the_lock(tmp_path):
    """The others give up after a while, and are tried again later."""
    issuer = TokenIssuer()
    first, second = (Process(issuer, tmp_path / "machine", name) for name in ("first", "second"))
    with first.lock():
        began = issuer.now
        with pytest.raises(RetryableError, match="Another process of this machine has held login_renewal for 300 s"):
            second.bearer.access_token()
        assert 300 <= issuer.now - began < 310
    assert second.bearer.access_token() == "access-1"
