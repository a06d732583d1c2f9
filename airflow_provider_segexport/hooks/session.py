"""Describes a vendor account as the modules of this folder use it; `SegmentExportHook` is the implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.connection import ConnectionSettings
    from airflow_provider_segexport.http.call_log import CallLog
    from airflow_provider_segexport.http.client import RetryLimits, Sender
    from airflow_provider_segexport.model import Audience, Operation, T
    from airflow_provider_segexport.ratelimit.clocks import Machine
    from airflow_provider_segexport.vendors.base import Vendor


class VendorSession(Protocol):
    """A vendor account that is described by an Airflow connection.

    Attributes:
        vendor: the vendor of the connection's type.
        low_priority: calls leave a part of a scarce quota to other tasks, as calls of a backfill do.
        is_command: an administrator's command uses the session, and no DAG.
    """

    vendor: ClassVar[Vendor]
    low_priority: bool
    is_command: bool

    @property
    def conn_id(self) -> str:
        """The id of the Airflow connection."""

    @property
    def settings(self) -> ConnectionSettings:
        """The connection's settings, without secrets."""

    @property
    def call_log(self) -> CallLog:
        """The calls of the session's clients since the log was last taken."""

    @property
    def quota_account(self) -> str:
        """The name under which the account's calls are counted."""

    def http_client(self, retry_limits: RetryLimits | None = None) -> Sender:
        """Return a client that the caller closes."""

    def run_operation(self, operation: Operation[T], retry_limits: RetryLimits | None = None) -> T:
        """Run one of the vendor's operations."""

    def resolve_audience(self, audience: str | int | None = None, retry_limits: RetryLimits | None = None) -> Audience:
        """Return the audience, with its account, as the vendor reports them."""

    @staticmethod
    def clock() -> float:
        """Return the time in epoch seconds."""

    @staticmethod
    def machine() -> Machine | None:
        """Return this machine's clocks; None if `clock` is not one of them."""

    def interruptible_sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until a stop is requested."""

    def heartbeat(self, text: str, *values: object) -> None:
        """Log a line if none was logged for some minutes."""

    def request_stop(self) -> None:
        """End waits early, and make no further call."""

    def raise_if_stopped(self) -> None:
        """Raise `SegexportError` if a stop was requested."""
