"""Sends requests over one kept-alive session a thread: `Request -> Response`.

The one place where a call is tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import requests
from requests import exceptions as foreign
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from airflow_provider_segexport import fencing
from airflow_provider_segexport.errors import (
    InvalidConnection,
    JobSlotsFull,
    RetryableError,
    Superseded,
    VendorUnavailable,
)
from airflow_provider_segexport.http.errors import believed, out_of_order, shown, translate
from airflow_provider_segexport.http.quiet_logs import quiet
from airflow_provider_segexport.http.response_limits import limit_responses, read_body
from airflow_provider_segexport.http.retry_budget import RetryBudget
from airflow_provider_segexport.model import Request, Response
from airflow_provider_segexport.vendors.base import CONNECT_TIMEOUT_S, Vendor

REDIRECTS = range(300, 400)


@dataclass(slots=True)
class Traffic:
    """What a run has sent: calls (tries included), bytes of bodies, tries after a first, seconds spent waiting."""

    calls: int = 0
    bytes_sent: int = 0
    retries: int = 0
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How long the worker itself waits for a vendor.

    Attributes:
        attempts: tries of one call.
        longest_s: a wait that the vendor asks for and that is longer than this is the caller's to decide.
    """

    attempts: int = 6
    longest_s: float = 60.0


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An auth that adds nothing, where the session would add the account's."""
    return request


class Pacing(Protocol):
    """Keeps calls under the account's quotas."""

    def __call__(self, request: Request) -> float:
        """Wait until the call may go out; the seconds waited."""

    def record_response(self, request: Request, response: Response | None) -> None:
        """Learn from an answer, or that none came."""

    def remaining(self) -> int | None:
        """Calls left of the day, or as the vendor told."""

    def close(self) -> None:
        """Let go of what was opened."""


class Sender:
    """Sends one request; tries again what may be tried again, with jitter, or as long as the vendor asks for.

    Safe to use from several threads.

    Args:
        session: makes a configured session; called once a thread.
        vendor: reads which replies ask to come back.
        renew: called with a 401; True when the session signs with something new now.
        pace: asked before every try, told of every answer, and closed with the sender.
        permit: raises where this process may change nothing through the connection; called before the first call
            that changes something.
    """

    def __init__(  # noqa: PLR0913 - each is one thing the world gives
        self,
        session: Callable[[], requests.Session],
        vendor: Vendor,
        *,
        patience: RetryLimits | None = None,
        renew: Callable[[Response], bool] | None = None,
        pace: Pacing | None = None,
        permit: Callable[[], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._make_session = session
        self._vendor = vendor
        self._patience = patience or RetryLimits()
        self._renew = renew
        self._pace = pace
        self._permit = permit
        self._sleep = sleep
        self._clock = clock
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._hosts: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._jitter = wait_random_exponential(multiplier=1, max=self._patience.longest_s)
        self._budget = RetryBudget()
        self._retrying = Retrying(  # what it keeps of a call it keeps by thread
            stop=stop_after_attempt(self._patience.attempts),
            retry=retry_if_exception(self._worth_waiting),
            wait=self._wait,
            before_sleep=self._spend,
            sleep=self._pause,
            reraise=True,
        )
        self.traffic = Traffic()

    def __call__(self, request: Request) -> Response:
        """Send, and try again while that may help; raises what the last try met."""
        permit = self._permit if request.changes else None
        if permit is not None:
            permit()
            self._permit = None
        response: Response = self._retrying(self._try, request)
        self._budget.succeeded(self._retrying.statistics["attempt_number"])
        return response

    def quota_left(self) -> int | None:
        """Calls that the account has left of the day, or as the vendor told; None where nobody counts or knows."""
        return self._pace.remaining() if self._pace is not None else None

    def close(self) -> None:
        """Close the sessions of all threads, and the count of calls."""
        if self._pace is not None:
            self._pace.close()
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def _worth_waiting(self, error: BaseException) -> bool:
        if not isinstance(error, RetryableError) or isinstance(error, JobSlotsFull | Superseded):
            return False
        return error.retry_after_s is None or error.retry_after_s <= self._patience.longest_s

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        after = error.retry_after_s if isinstance(error, RetryableError) else None
        return float(self._jitter(state)) if after is None else after

    def _spend(self, state: RetryCallState) -> None:
        """A vendor that is down is left alone soon: the task as a whole has only so many tries again."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, VendorUnavailable) and not self._budget.spend():
            raise VendorUnavailable(
                f"{error} So many calls of this task have failed that it tries no call again. Another try of the task "
                "goes on where this one stopped.",
                retry_after_s=error.retry_after_s,
            )

    def _pause(self, seconds: float) -> None:
        with self._lock:
            self.traffic.retries += 1
            self.traffic.wait_s += seconds
        self._sleep(seconds)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._make_session()
            limit_responses(session, self._vendor.limits.response)
            with self._lock:
                self._sessions.append(session)
        return session

    def _try(self, request: Request) -> Response:
        response = self._exchange(request)
        if (
            response.status == requests.codes.unauthorized
            and request.authenticated
            and self._renew
            and self._renew(response)
        ):
            response = self._exchange(request)
        later = self._vendor.retry_hint(response, self._clock()) or out_of_order(response)
        if later is not None:
            raise believed(later, response)
        if response.status in REDIRECTS:
            raise InvalidConnection(
                f"{response.url} answers with a redirect, and credentials do not follow redirects. "
                "Put the address it leads to into the base URL of the connection."
            )
        return response

    def _exchange(self, request: Request) -> Response:
        waited = self._pace(request) if self._pace is not None else 0.0
        session = self._session()
        with self._lock:
            self.traffic.wait_s += waited
        response = None
        try:
            response = self._call(session, request)
        finally:
            if self._pace is not None:
                self._pace.record_response(request, response)
        return response

    def _surroundings(self, session: requests.Session, url: str) -> dict[str, Any]:
        """Proxies and trust for a host, by session and environment: asked for once, and not anew for every call.

        Said per call, for the environment's bundle would win over the session's.
        """
        host = "/".join(url.split("/", 3)[:3])
        if host not in self._hosts:
            session.trust_env = True
            found = session.merge_environment_settings(url, {}, None, session.verify, None)
            self._hosts[host] = {"proxies": found["proxies"], "verify": found["verify"], "cert": session.cert}
        session.trust_env = False
        return self._hosts[host]

    def _prepared(self, session: requests.Session, request: Request) -> requests.PreparedRequest:
        """The request as the library sends it. What batches have in common is prepared once; credentials may change."""
        what = request.method, request.url, request.query, request.headers
        known: tuple[Any, requests.PreparedRequest] | None = getattr(self._local, "prepared", None)
        if known is None or known[0] != what or session.cookies:
            prepared = requests.PreparedRequest()
            carried, query = {**session.headers, **request.headers}, dict(request.query)
            prepared.prepare(request.method, request.url, carried, None, None, query, _unsigned, session.cookies)
            known = self._local.prepared = what, prepared
        prepared = known[1].copy()
        prepared.prepare_body(request.body, None)
        prepared.prepare_auth(session.auth if request.authenticated else _unsigned, request.url)
        return prepared

    @quiet()
    def _call(self, session: requests.Session, request: Request) -> Response:
        """Prepared here: the session would merge its settings anew for every call, a third of what a call costs."""
        try:
            prepared = self._prepared(session, request)
            surroundings = self._surroundings(session, request.url)
            fencing.ask()  # after pacing, waits between attempts and a renewed sign-in: nothing waits from here on
            with self._lock:
                self.traffic.calls += 1
                self.traffic.bytes_sent += len(request.body or b"")
            answer = session.send(
                prepared,
                timeout=(CONNECT_TIMEOUT_S, self._vendor.limits.timeout_s),
                allow_redirects=False,
                stream=True,
                **surroundings,
            )
            body = read_body(answer, self._vendor.limits.response)
        except foreign.RequestException as error:
            raise translate(error, request.url) from None  # its own words hold the query, or a header's value
        except ValueError:  # half an address, or a host name that no DNS could hold
            raise InvalidConnection("The base URL holds characters that no address can hold.") from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, headers, body, shown(request.url))
