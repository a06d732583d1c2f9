"""Rules of a rate limit store on a server: its URL, its clock, and the errors of its connection."""

from __future__ import annotations

from abc import abstractmethod
from urllib.parse import urlsplit

from airflow_provider_segexport.errors import InvalidConnection, RetryableError
from airflow_provider_segexport.ratelimit.clocks import Machine, StoreTime, server_moment
from airflow_provider_segexport.ratelimit.store_base import BaseQuotaStore
from airflow_provider_segexport.vendors.base import Limits


class ServerQuotaStore(BaseQuotaStore):
    """Counts one account's calls on a server, by the server's clock.

    Args:
        url: URL of the server, optionally with credentials.
        account: the account's key.
        limits: the rates to count against.
        backfill: reserve calls for scheduled runs.
        machine: as in `BaseQuotaStore`.

    Raises:
        InvalidConnection: the text is no URL.
    """

    def __init__(
        self, url: str, account: str, limits: Limits, *, backfill: bool = False, machine: Machine | None = None
    ) -> None:
        super().__init__(limits, backfill=backfill, machine=machine)
        try:
            parts = urlsplit(url)
        except ValueError:
            raise self._unusable_url() from None
        self._url, self._account = url, account
        self._public_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @abstractmethod
    def _server_time(self) -> float:
        """Return the server's epoch seconds."""

    def _time(self, local: float) -> StoreTime:
        return server_moment(self._server_time, local, self._machine)

    def _unreachable(self, problem: str) -> RetryableError:
        """Return the error for a server that cannot be used now."""
        return RetryableError(f"The rate limit store at {self._public_url} {problem}.")

    @staticmethod
    def _unusable_url() -> InvalidConnection:
        """Return the error for a URL that the client cannot use. It quotes no URL, because it may hold a password."""
        return InvalidConnection(
            "The URL in `[segexport] rate_limit_store` has a host, a port or an option that the store's client does "
            "not accept. To fix: write it as redis://host:6379/0 or postgresql://host:5432/database."
        )
