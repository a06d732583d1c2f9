"""Sends requests to a vendor: retries, rate limits, login renewal, and one persistent session for each thread.

No other module retries a call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import requests
from requests import exceptions as requests_errors
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from airflow_provider_segexport import fencing
from airflow_provider_segexport.errors import (
    InvalidConnection,
    JobSlotsFull,
    OutcomeUnknown,
    RetryableError,
    Superseded,
    VendorUnavailable,
)
from airflow_provider_segexport.http.call_log import CallLog, shown_path
from airflow_provider_segexport.http.errors import (
    bounded_retry,
    broken_response,
    incomplete_response,
    redact_url,
    translate_error,
)
from airflow_provider_segexport.http.prepare import RequestPreparer
from airflow_provider_segexport.http.quiet_logs import quiet
from airflow_provider_segexport.http.response_limits import limit_responses, read_body
from airflow_provider_segexport.http.retry_budget import RetryBudget
from airflow_provider_segexport.model import Request, Response
from airflow_provider_segexport.storage.calls import Call
from airflow_provider_segexport.vendors.base import CONNECT_TIMEOUT_S, Vendor

REDIRECTS = range(300, 400)


@dataclass(slots=True)
class Traffic:
    """Counts what a run has sent.

    Attributes:
        calls: attempts, including retries.
        bytes_sent: bytes of request bodies.
        retries: attempts after the first attempt of a call.
        wait_s: seconds spent waiting, for the rate limit and between attempts.
    """

    calls: int = 0
    bytes_sent: int = 0
    retries: int = 0
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How long the worker itself waits for a vendor.

    Attributes:
        attempts: maximum attempts of one call.
        max_wait_s: the longest wait in seconds. If the vendor asks for more, the call fails and the caller decides.
    """

    attempts: int = 6
    max_wait_s: float = 60.0


class CallLimiter(Protocol):
    """Keeps calls below the account's rate limits."""

    def __call__(self, request: Request) -> float:
        """Wait until the call may be sent, and return the seconds waited."""

    def record_response(self, request: Request, response: Response | None) -> None:
        """Update the counts from a response; None if the call got no response."""

    def remaining(self) -> int | None:
        """Return the remaining calls by the daily limit and the vendor's report; None if the account has neither."""

    def close(self) -> None:
        """Close the rate limit store."""


class Sender:
    """Sends requests. Retries calls that may succeed later, with jitter or after the wait that the vendor asks for.

    Threads may share it.

    Args:
        session: creates a configured session; called once for each thread.
        vendor: its `retry_hint` decides whether and when to retry; its limits bound each response.
        retry_limits: attempts and longest wait of one call.
        renew_auth: called with a 401; returns whether the session now has new credentials to try.
        rate_limiter: called before each attempt and with each response; closed with the sender.
        check_writable: called before the first call that changes something; raises if this process may not make it.
        sleep: waits for seconds.
        clock: returns epoch seconds.
        call_log: records each attempt.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings and dependencies
        self,
        session: Callable[[], requests.Session],
        vendor: Vendor,
        *,
        retry_limits: RetryLimits | None = None,
        renew_auth: Callable[[Response], bool] | None = None,
        rate_limiter: CallLimiter | None = None,
        check_writable: Callable[[], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        call_log: CallLog | None = None,
    ) -> None:
        self._make_session = session
        self._vendor = vendor
        self._limits = retry_limits or RetryLimits()
        self._renew_auth = renew_auth
        self._rate_limiter = rate_limiter
        self._check_writable = check_writable
        self._sleep = sleep
        self._clock = clock
        self._call_log = call_log or CallLog()
        self._thread = threading.local()
        self._sessions: list[requests.Session] = []
        self._preparer = RequestPreparer()
        self._lock = threading.Lock()
        self._jitter = wait_random_exponential(multiplier=1, max=self._limits.max_wait_s)
        self._budget = RetryBudget()
        self._retrying = Retrying(  # thread-safe: the state of a call is thread-local
            stop=stop_after_attempt(self._limits.attempts),
            retry=retry_if_exception(self._is_retried_here),
            wait=self._retry_wait_s,
            before_sleep=self._spend_budget,
            sleep=self._sleep_before_retry,
            reraise=True,
        )
        self.traffic = Traffic()

    def __call__(self, request: Request) -> Response:
        """Send a request, with retries, and return the response; raise the error of the last attempt if all fail."""
        check = self._check_writable if request.changes else None
        if check is not None:
            check()
            self._check_writable = None
        response: Response = self._retrying(self._attempt if request.repeatable else self._attempt_once, request)
        self._budget.record_success(self._retrying.statistics["attempt_number"])
        return response

    def remaining_quota(self) -> int | None:
        """Return the account's remaining calls; None if it has neither a daily limit nor a vendor's report."""
        return self._rate_limiter.remaining() if self._rate_limiter is not None else None

    def close(self) -> None:
        """Close the sessions of all threads, and the rate limiter."""
        if self._rate_limiter is not None:
            self._rate_limiter.close()
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def _is_retried_here(self, error: BaseException) -> bool:
        if not isinstance(error, RetryableError) or isinstance(error, JobSlotsFull | Superseded | OutcomeUnknown):
            return False
        return error.retry_after_s is None or error.retry_after_s <= self._limits.max_wait_s

    def _retry_wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after_s = error.retry_after_s if isinstance(error, RetryableError) else None
        return float(self._jitter(state)) if retry_after_s is None else retry_after_s

    def _spend_budget(self, state: RetryCallState) -> None:
        """Spend the task's retry budget; raise if it is exhausted, so that an unavailable vendor gets few retries."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, VendorUnavailable) and not self._budget.spend():
            raise VendorUnavailable(
                f"{error} The retry budget of this task is exhausted. The next attempt of the task resumes from here.",
                retry_after_s=error.retry_after_s,
            )

    def _sleep_before_retry(self, seconds: float) -> None:
        with self._lock:
            self.traffic.retries += 1
            self.traffic.wait_s += seconds
        self._sleep(seconds)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._thread, "session", None)
        if session is None:
            session = self._thread.session = self._make_session()
            limit_responses(session, self._vendor.limits.response)
            with self._lock:
                self._sessions.append(session)
        return session

    def _attempt(self, request: Request) -> Response:
        response = self._limited_call(request)
        if (
            response.status == requests.codes.unauthorized
            and request.authenticated
            and self._renew_auth
            and self._renew_auth(response)
        ):
            response = self._limited_call(request)
        retryable = self._vendor.retry_hint(response, self._clock()) or incomplete_response(response)
        if retryable is not None:
            raise bounded_retry(retryable, response)
        if response.status in REDIRECTS:
            raise InvalidConnection(
                f"{response.url} answers with a redirect, and credentials do not follow redirects. "
                "To fix: put the URL that it redirects to into the base URL of the connection."
            )
        return response

    def _attempt_once(self, request: Request) -> Response:
        """Make an attempt that is repeated only if the vendor says that it has not processed the call (429)."""
        try:
            return self._attempt(request)
        except VendorUnavailable as error:
            raise OutcomeUnknown(str(error), retry_after_s=error.retry_after_s) from None

    def _limited_call(self, request: Request) -> Response:
        """Wait for the rate limit, send the request, and report the response to the rate limiter."""
        wait_s = self._rate_limiter(request) if self._rate_limiter is not None else 0.0
        session = self._session()
        with self._lock:
            self.traffic.wait_s += wait_s
        response = None
        try:
            response = self._call(session, request)
        finally:
            if self._rate_limiter is not None:
                self._rate_limiter.record_response(request, response)
        return response

    def _prepare(self, session: requests.Session, request: Request) -> requests.PreparedRequest:
        try:
            return self._preparer.prepare(session, request)
        except requests_errors.InvalidHeader as error:
            raise translate_error(error, request.url) from None

    @quiet()
    def _call(self, session: requests.Session, request: Request) -> Response:
        try:
            prepared = self._prepare(session, request)
            transport = self._preparer.transport(session, request.url)
            fencing.check_fence()  # the last step: after rate limit waits, retry waits and login renewal
            with self._lock:
                self.traffic.calls += 1
                self.traffic.bytes_sent += len(request.body or b"")
            raw, body = self._exchange(session, prepared, transport, request)
        except requests_errors.InvalidHeader as error:  # the request's own headers are checked when it is prepared
            raise broken_response(error, request.url) from None
        except requests_errors.RequestException as error:
            raise translate_error(error, request.url) from None  # its message contains the query or a header's value
        except ValueError:  # a malformed URL, or a host name that DNS cannot hold
            raise InvalidConnection(
                "The base URL contains characters that no URL allows. To fix: correct the base URL of the connection."
            ) from None
        headers = {name.lower(): value for name, value in raw.headers.items()}
        return Response(raw.status_code, headers, body, redact_url(request.url))

    def _exchange(
        self, session: requests.Session, prepared: requests.PreparedRequest, transport: dict[str, Any], request: Request
    ) -> tuple[requests.Response, bytes]:
        """Send a prepared request, read the response, and record the call."""
        began, status, failure = time.perf_counter(), 0, ""
        try:
            raw = session.send(
                prepared,
                timeout=(CONNECT_TIMEOUT_S, self._vendor.limits.timeout_s),
                allow_redirects=False,
                stream=True,
                **transport,
            )
            status = raw.status_code
            return raw, read_body(raw, self._vendor.limits.response, request.url)
        except Exception as error:
            failure = type(error).__name__
            raise
        finally:
            ms = round((time.perf_counter() - began) * 1000)
            self._call_log.record(Call(self._clock(), request.method, shown_path(request.url), status, ms, failure))
