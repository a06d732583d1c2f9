"""Campaign Monitor, API v3.3: `batch -> verdict`, at once.

An audience is a list. Facts from campaignmonitor.com/api and the official clients, read 2026-08.
"""

from __future__ import annotations

from airflow_provider_segexport.vendors.auth import ConnectionForm, ConnectionFormField, OAuth
from airflow_provider_segexport.vendors.base import Limits, Vendor
from airflow_provider_segexport.vendors.campaign_monitor import (
    account,
    fields,
    imports,
    members,
    optouts,
    removals,
    responses,
    resubscribe,
)

VENDOR = Vendor(
    name="campaign_monitor",
    title="Campaign Monitor",
    audience_noun="list",
    base_url=account.BASE_URL,
    # 1000 rows a call (code 209 above). No rate is published for imports; four calls at a time is modest, and the
    # clients wait up to 120 s for an import.
    limits=Limits(batch_rows=1000, batch_bytes=4_000_000, max_concurrency=4, max_jobs=0, timeout_s=120),
    fields=fields.FIELD_RULES,
    max_custom_chars=fields.MAX_VALUE_CHARS,
    custom_name_pattern=r"[^\[\]\"<>]{1,100}",
    custom_name_hint="1 to 100 characters without brackets and quotes",
    resolve_audience=account.resolve_audience,
    create_field=account.create_field,
    item_template=imports.item_template,
    upsert=imports.upsert,
    list_members=members.list_members,
    removal=removals.REMOVAL,
    resubscribe_removed=resubscribe.resubscribe_removed,
    list_optouts=optouts.list_optouts,
    # No `lookup`: an import has no id and no trace that can be read. One whose answer was lost is sent again, which
    # counts its people as existing (`TotalExistingSubscribers`) and does no harm, as no autoresponder is queued.
    audience_link=account.audience_link,
    form=ConnectionForm(
        credential_label="API key",
        placeholders={"host": account.BASE_URL, "password": "from Account settings > API keys"},
        audience_help="List id: 32 characters, 0-9 and a-f, from the list's settings (API list id).",
        fields=(
            ConnectionFormField(
                "refresh_token",
                "OAuth refresh token",
                "Instead of an API key: the refresh token of a sign-in with the scopes ImportSubscribers, ManageLists.",
                secret=True,
            ),
            ConnectionFormField(
                "client_id",
                "Client id",
                "For a key of one client, where people whom an export took out are to come back, or who opted out of "
                "everything is to be told: from the client's API settings. Empty for a key of the whole account.",
            ),
        ),
    ),
    oauth=OAuth(refresh=account.refresh, is_expired=account.is_expired),
    retry_hint=responses.retry_hint,
    api_paths=("/api/v3.3", "/api/v3.2"),
    date_format="%Y/%m/%d",  # dd/mm is read either way round
)
