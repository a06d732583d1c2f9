"""Campaign Monitor, API v3.3: `batch -> verdict`, at once.

An audience is a list. Facts from campaignmonitor.com/api and the official clients, read 2026-08.
"""

from __future__ import annotations

from airflow_provider_segexport.access import Form, FormField, OAuth
from airflow_provider_segexport.contract import Limits, Vendor
from airflow_provider_segexport.vendors.campaign_monitor.account import (
    API,
    audience_link,
    check,
    create_field,
    refresh,
    stale,
)
from airflow_provider_segexport.vendors.campaign_monitor.contacts import item, members, upsert
from airflow_provider_segexport.vendors.campaign_monitor.fields import RULES, VALUE
from airflow_provider_segexport.vendors.campaign_monitor.leavers import REMOVAL
from airflow_provider_segexport.vendors.campaign_monitor.optouts import optouts
from airflow_provider_segexport.vendors.campaign_monitor.replies import refusal
from airflow_provider_segexport.vendors.campaign_monitor.revival import revive

VENDOR = Vendor(
    name="campaign_monitor",
    title="Campaign Monitor",
    audience_word="list",
    api=API,
    # 1000 rows a call (code 209 above). No rate is published for imports; four calls at a time is modest, and the
    # clients wait up to 120 s for an import.
    limits=Limits(batch_rows=1000, batch_bytes=4_000_000, connections=4, jobs=0, timeout_s=120),
    fields=RULES,
    max_custom_chars=VALUE,
    custom_name=r"[^\[\]\"<>]{1,100}",
    custom_name_hint="1 to 100 characters without brackets and quotes",
    check=check,
    create_field=create_field,
    item=item,
    upsert=upsert,
    members=members,
    removal=REMOVAL,
    revive=revive,
    optouts=optouts,
    # No `lookup`: an import has no id and no trace that can be read. One whose answer was lost is sent again, which
    # counts its people as existing (`TotalExistingSubscribers`) and does no harm, as no autoresponder is queued.
    audience_link=audience_link,
    form=Form(
        key_label="API key",
        placeholders={"host": API, "password": "from Account settings > API keys"},
        audience_help="List id: 32 characters, 0-9 and a-f, from the list's settings (API list id).",
        fields=(
            FormField(
                "refresh_token",
                "OAuth refresh token",
                "Instead of an API key: the refresh token of a sign-in with the scopes ImportSubscribers, ManageLists.",
                secret=True,
            ),
            FormField(
                "client",
                "Client id",
                "For a key of one client, where people whom an export took out are to come back, or who opted out of "
                "everything is to be told: from the client's API settings. Empty for a key of the whole account.",
            ),
        ),
    ),
    oauth=OAuth(refresh=refresh, stale=stale),
    refusal=refusal,
    paths=("/api/v3.3", "/api/v3.2"),
    date_format="%Y/%m/%d",  # dd/mm is read either way round
)
