"""What all vendors' hooks share: `Airflow connection -> settings, session, sender, export`."""

from __future__ import annotations

import base64
import pathlib
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.log import mask_secret

from airflow_provider_segexport import connection as connections
from airflow_provider_segexport.contract import Vendor, drive
from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.hooks.state import resolve, state_root
from airflow_provider_segexport.model import Operation, T, Target

if TYPE_CHECKING:
    import pandas as pd
    import requests

    from airflow_provider_segexport.export import Mode
    from airflow_provider_segexport.ports.http import Patience, Sender
    from airflow_provider_segexport.ports.tokens import Bearer


class SegmentExportHook(HttpHook):
    """A vendor's account, as an Airflow connection describes it.

    Useful alone in a `@task`: `hook.target()` tells account and audience, `hook.export(...)` exports a segment or a
    DataFrame, `hook.call(...)` runs any of the vendor's operations.

    Args:
        conn_id: the Airflow connection, of the vendor's type.
    """

    vendor: ClassVar[Vendor]

    def __init__(self, conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(http_conn_id=conn_id or self.default_conn_name, **kwargs)

    @abstractmethod
    def auth(self, connection: Any, extra: dict[str, Any]) -> Any:
        """How requests are signed, as `requests` takes it; a missing credential raises `BadConnection`."""

    @property
    def conn_id(self) -> str:
        """The Airflow connection's id."""
        return self.http_conn_id

    @cached_property
    def settings(self) -> connections.Settings:
        """The connection, read once; secrets are masked from here on."""
        found = self.get_connection(self.conn_id)
        extra = connections.extras(found.extra)
        for secret in (found.password, *(extra.get(one.name) for one in self.vendor.form.fields if one.secret)):
            if secret:
                mask_secret(str(secret))
        return connections.settings(self.vendor, self.conn_id, found.host, found.port, extra)

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """A session that is signed and set up for the vendor."""
        _ = self.settings
        session: requests.Session = super().get_conn(headers, extra_options)
        return session

    def _set_base_url(self, connection: Any) -> None:
        self.base_url = self.settings.access.api
        self._base_url_initialized = True

    def _configure_session_from_auth(self, session: requests.Session, connection: Any) -> requests.Session:
        session.auth = self._auth
        return session

    def _configure_session_from_extra(
        self, session: requests.Session, connection: Any, extra_options: dict[str, Any]
    ) -> requests.Session:
        """Only what concerns transport. HttpHook would send every extra to the vendor as a header, secrets too."""
        options = {**self.settings.transport, **extra_options}
        session.proxies = options.get("proxies", {})
        session.verify = options.get("verify", True)
        session.cert = options.get("cert")
        return session

    @cached_property
    def _auth(self) -> Any:
        found = self.get_connection(self.conn_id)
        return self.auth(found, connections.extras(found.extra))

    def mask_basic(self, user: str, password: str) -> None:
        """Mask the header that user and password become."""
        mask_secret(base64.b64encode(f"{user}:{password}".encode()).decode())

    def bearer(self, refresh_token: str) -> Bearer:
        """A sign-in that renews itself, kept where other machines find it."""
        from airflow_provider_segexport.hooks.token_store import VariableStore  # noqa: PLC0415
        from airflow_provider_segexport.ports.http import Sender  # noqa: PLC0415
        from airflow_provider_segexport.ports.tokens import Bearer  # noqa: PLC0415

        oauth = self.vendor.oauth
        if oauth is None:
            raise SegexportError(f"{self.vendor.title} has no OAuth sign-in.")
        access = self.settings.access
        return Bearer(
            refresh_token,
            VariableStore(self.conn_id),
            lambda token: drive(oauth.refresh(access, token, time.time()), Sender(self.get_conn, self.vendor)),
            stale=oauth.stale,
            told=mask_secret,
            clock=time.time,
        )

    def sender(self, patience: Patience | None = None) -> Sender:
        """What sends requests through this connection; to be closed by the caller."""
        from airflow_provider_segexport.ports.http import Sender  # noqa: PLC0415

        renew: Callable[..., bool] | None = getattr(self._auth, "renew", None)
        return Sender(self.get_conn, self.vendor, patience=patience, renew=renew)

    def call(self, operation: Operation[T], patience: Patience | None = None) -> T:
        """Run one of the vendor's operations."""
        sender = self.sender(patience)
        try:
            return drive(operation, sender)
        finally:
            sender.close()

    def target(self, audience: str | None = None, patience: Patience | None = None) -> Target:
        """Account and audience as the vendor tells them; the connection's default audience where none is named."""
        return self.call(self.vendor.check(self.settings.access, audience or self.settings.audience), patience)

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button and `airflow connections test` show."""
        from airflow_provider_segexport.ports.http import Patience  # noqa: PLC0415

        try:
            target = self.target(patience=Patience(attempts=2, longest_s=3))
        except SegexportError as error:
            return False, str(error)
        words = f"{self.vendor.title} account {target.account_name!r}"
        if target.audience:
            count = "" if target.members is None else f" with {target.members:,} members"
            words += f", {self.vendor.audience_word} {target.audience_name!r}{count}"
        notes = list(target.notes)
        try:
            self.settings.gate(None)
        except SegexportError as error:
            if not self.settings.allowed_dags or not self.settings.privacy_consent or not self.settings.consented_by:
                notes.append(f"Not ready for exports: {error}")
        return True, " ".join([f"{words}.", *notes])

    def export(  # noqa: PLR0913 - what an export is configured with
        self,
        segment: str | Sequence[str] | pd.DataFrame,
        matching: Mapping[str, str],
        *,
        audience: str | None = None,
        custom_fields: Mapping[str, str] | None = None,
        create_fields: bool = False,
        mode: Mode = "full",
        as_of: datetime | None = None,
        max_profiles: int = 1_000_000,
        dag_id: str | None = None,
    ) -> dict[str, Any]:
        """Export a segment from here, waiting for the vendor's jobs; returns the report.

        A DataFrame is written to Parquet first, into a folder that is removed afterwards.
        """
        from airflow_provider_segexport.hooks.launch import Errand, launch  # noqa: PLC0415

        self.settings.gate(dag_id)
        with tempfile.TemporaryDirectory(prefix="segexport-") as folder:
            if not isinstance(segment, (str, Sequence)):
                path = pathlib.Path(folder) / "segment.parquet"
                segment.to_parquet(path, index=False)
                segment = str(path)
            errand = Errand(
                segment=segment,
                audience=audience,
                matching=matching,
                custom_fields=custom_fields or {},
                create_fields=create_fields,
                mode=mode,
                as_of=as_of or datetime.now(UTC),
                max_profiles=max_profiles,
                identity=("hook", self.conn_id, f"{time.time_ns()}"),
                root=state_root(),
            )
            report = launch(self, errand)
        if not isinstance(report, dict):
            raise SegexportError("The export waits for jobs although it was told to stay.")
        return report


__all__ = ["SegmentExportHook", "resolve"]
