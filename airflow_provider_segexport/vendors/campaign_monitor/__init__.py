"""Campaign Monitor, API v3.3. An upsert returns its results synchronously.

An audience is a list. Sources: campaignmonitor.com/api and the official clients, read 2026-08.
"""

from __future__ import annotations

from airflow_provider_segexport.vendors.auth import ConnectionForm, ConnectionFormField, OAuth
from airflow_provider_segexport.vendors.base import Limits, Vendor
from airflow_provider_segexport.vendors.campaign_monitor import (
    account,
    audiences,
    fields,
    imports,
    members,
    optouts,
    permissions,
    probe,
    records,
    removals,
    responses,
    resubscribe,
)
from airflow_provider_segexport.vendors.verification import Verification

VENDOR = Vendor(
    name="campaign_monitor",
    title="Campaign Monitor",
    audience_noun="list",
    base_url=account.BASE_URL,
    documentation_url="https://www.campaignmonitor.com/api/",
    # Published: at most 1000 rows in a call (error code 209). No rate limit is published for imports, so four parallel
    # calls are a conservative choice. The official clients wait up to 120 s for an import.
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
    verification=Verification(
        read_members=members.read_members,
        page_size=members.PAGE_SIZE,
        read_optouts=optouts.read_optouts,
        read_record=records.read_record,
        sent_values=records.sent_values,
    ),
    directory=audiences.DIRECTORY,
    check_permissions=permissions.check_permissions,
    removal=removals.REMOVAL,
    resubscribe_removed=resubscribe.resubscribe_removed,
    list_optouts=optouts.list_optouts,
    # No `find_lost_jobs`: an import has no id. A repeated import counts its people as existing subscribers
    # (`TotalExistingSubscribers`), which is harmless because no autoresponder is queued.
    audience_link=account.audience_link,
    probe=probe.PROBE,
    why_not_exported=probe.why_not_exported,
    form=ConnectionForm(
        credential_label="API key",
        placeholders={"host": account.BASE_URL, "password": "from Account settings > API keys"},
        audience_help="List id: 32 characters, 0-9 and a-f, from the list's settings (API list id), or name: and "
        "the list's exact name.",
        fields=(
            ConnectionFormField(
                "refresh_token",
                "OAuth refresh token",
                "Instead of an API key: the refresh token of a login with the scopes ImportSubscribers, ManageLists.",
                secret=True,
            ),
            ConnectionFormField(
                "client_id",
                "Client id",
                "For a key of one client: the id from the client's API settings. It lets exports read the suppression "
                "list, to report opt-outs and to add people again that an export removed, and obey the "
                "answers of a probe. Empty for a key of an account with one client.",
            ),
        ),
    ),
    oauth=OAuth(refresh=account.refresh, is_expired=account.is_expired),
    retry_hint=responses.retry_hint,
    api_paths=("/api/v3.3", "/api/v3.2"),
    date_format="%Y/%m/%d",  # a date with the year last is ambiguous: the vendor reads dd/mm and mm/dd
)
