"""The part of a hook that reads audiences, and the connection test: `session -> account, audience`."""

from __future__ import annotations

import logging
import re
import sys
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidArgument, SegexportError
from airflow_provider_segexport.hooks.failures import fatal_errors_translated

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession
    from airflow_provider_segexport.http.client import RetryLimits
    from airflow_provider_segexport.model import Audience
    from airflow_provider_segexport.vendors.directory import AudienceEntry


class Audiences:
    """Reads the audiences of a vendor account."""

    @fatal_errors_translated()
    def resolve_audience(
        self: VendorSession, audience: str | int | None = None, retry_limits: RetryLimits | None = None
    ) -> Audience:
        """Return the audience, with its account, as the vendor reports them.

        Args:
            audience: the vendor's id of the audience, or `name:` and its exact name; None for the connection's default
                audience.
            retry_limits: how often and how long a call is repeated; None for the defaults.

        Raises:
            AudienceNotFound: the vendor has no such audience.
            InvalidArgument: several audiences have the name.
        """
        from airflow_provider_segexport.hooks.arguments import audience as read  # noqa: PLC0415 - as below
        from airflow_provider_segexport.vendors import audience_names  # noqa: PLC0415 - when a hook calls its vendor

        given = read(audience, "audience") if audience else self.settings.audience
        run = partial(self.run_operation, retry_limits=retry_limits)
        return audience_names.resolve_audience(self.vendor, self.settings.endpoint, given, run)

    @fatal_errors_translated()
    def list_audiences(self: VendorSession) -> list[AudienceEntry]:
        """Return the account's lists or address books: id, name and number of members.

        Raises:
            InvalidArgument: the vendor does not list its audiences.
        """
        vendor, noun = self.vendor, self.vendor.audience_noun
        if vendor.directory is None:
            raise InvalidArgument(
                f"{vendor.title} does not list its {noun}s: no call of its API returns them. A {noun} exists as "
                f"soon as a contact has it. To fix: give `audience` the {noun} itself; the web application of "
                f"{vendor.title} shows the {noun}s in use."
            )
        account = self.run_operation(vendor.resolve_audience(self.settings.endpoint, None))
        return self.run_operation(vendor.directory.list_audiences(account, True))  # noqa: FBT003 - a callable's

    def test_connection(self: VendorSession) -> tuple[bool, str]:
        """Check the connection for Airflow's Test button and `airflow connections test`.

        Returns:
            Whether the account could be reached and the login has the permissions that exports need, and a text with
            account, audience and settings that are missing.
        """
        from airflow_provider_segexport.http.client import RetryLimits  # noqa: PLC0415

        limits, vendor = RetryLimits(attempts=2, max_wait_s=3), self.vendor
        try:
            check = vendor.check_permissions
            note = self.run_operation(check(self.settings.endpoint), limits) if check is not None else ""
            audience = self.resolve_audience(retry_limits=limits)
        except SegexportError as error:
            return False, without_conn_id(str(error), self.conn_id)
        text = f"{vendor.title} account {audience.account_name!r}"
        if audience.audience:
            count = "" if audience.member_count is None else f" with {counted(audience.member_count, 'member')}"
            text += f", {vendor.audience_noun} {audience.audience_name!r}{count}"
        parts = [f"{text}.", note, *audience.warnings, *self.settings.warnings()]
        text = without_conn_id(" ".join(filter(None, parts)), self.conn_id)
        if logging.root.manager.disable:  # Airflow's command line disables logs, and prints no text for a success
            sys.stdout.write(f"{text}\n")
        return True, text


def without_conn_id(text: str, conn_id: str) -> str:
    """Return the text with 'this connection' in place of the connection's id.

    Airflow's Test button tests a connection under a random id (`routes/public/connections.py`, Airflow 3.3.2), which
    the user of the form does not know.
    """
    shown = re.escape(repr(conn_id))
    text = re.sub(rf"\b([Cc])onnection {shown}", lambda match: f"{'T' if match[1] == 'C' else 't'}his connection", text)
    return re.sub(rf"(`airflow segexport \w+ ){re.escape(conn_id)}\b", r"\1CONN_ID", text)
