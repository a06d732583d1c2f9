"""Constant Contact, API v3. An upsert is an import activity: an asynchronous job that reports counters.

An audience is a list. Sources: the published specification (3.0.178) and the vendor's guides, read 2026-08.
"""

from __future__ import annotations

from functools import partial

from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.vendors.auth import ConnectionForm, ConnectionFormField, OAuth
from airflow_provider_segexport.vendors.base import Limits, Vendor
from airflow_provider_segexport.vendors.constant_contact import (
    account,
    audiences,
    device_flow,
    fields,
    imports,
    members,
    optouts,
    permissions,
    probe,
    records,
    removals,
    responses,
)
from airflow_provider_segexport.vendors.probe_answers import why_not_removed
from airflow_provider_segexport.vendors.verification import Verification

VENDOR = Vendor(
    name="constant_contact",
    title="Constant Contact",
    audience_noun="list",
    base_url=account.BASE_URL,
    documentation_url="https://developer.constantcontact.com/",
    # Published: at most 40,000 rows and 4 MB in one import (the vendor silently drops the rest), 1,000 queued
    # activities in an account, and 4 calls a second and 10,000 a day for one key, which all its clients share.
    limits=Limits(
        batch_rows=39_999,
        batch_bytes=3_990_000,
        max_concurrency=4,
        max_jobs=100,
        timeout_s=120,
        rates=(Rate(4, 1), Rate(10_000, 86_400, fixed_window=True)),
    ),
    fields=fields.FIELD_RULES,
    max_custom_chars=fields.LONG_MAX_CHARS,
    max_custom_fields=25,
    custom_name_pattern=r"(?! )[^\"<>\x00-\x1f]{1,50}(?<! )",
    custom_name_hint="1 to 50 characters without quotes and angle brackets, and no blank at either end",
    resolve_audience=account.resolve_audience,
    create_field=account.create_field,
    item_template=imports.item_template,
    upsert=imports.upsert,
    poll=imports.poll,
    collect=imports.collect,
    embedded_job_reads=imports.embedded_job_reads,
    list_members=members.list_members,
    verification=Verification(
        read_members=members.read_members,
        page_size=None,  # an export of the list takes a few calls
        read_optouts=optouts.read_optouts,
        read_record=records.read_record,
        sent_values=records.sent_values,
    ),
    directory=audiences.DIRECTORY,
    check_permissions=permissions.check_permissions,
    removal=removals.REMOVAL,
    list_optouts=optouts.list_optouts,
    # No `find_lost_jobs`: activities are listed with counters, but without content (specification 3.0.178, read
    # 2026-08), so a similar activity may belong to an earlier run. A repeated import updates the same contacts.
    audience_link=account.audience_link,
    retry_hint=responses.retry_hint,
    api_paths=("/v3",),
    import_readds_leavers=True,
    probe=probe.PROBE,
    why_not_removed=partial(why_not_removed, "Constant Contact", probe.NO_LIST_FACT),
    form=ConnectionForm(
        credential_label="Client secret",
        login_label="Client id (API key)",
        placeholders={
            "host": account.BASE_URL,
            "login": "from the developer portal",
            "password": "empty for a PKCE application",
        },
        audience_help="List id, from the list's address in the browser: 8-4-4-4-12 hexadecimal digits. Or name: "
        "and the list's exact name.",
        fields=(
            ConnectionFormField(
                "refresh_token",
                "OAuth refresh token",
                "Empty at first: `airflow segexport login <connection id>` fills it in.",
                secret=True,
            ),
            ConnectionFormField(
                "authorize_url", "Authorization URL", f"Empty: {account.AUTHORIZATION_URL}{account.OAUTH_PATH}."
            ),
        ),
    ),
    oauth=OAuth(refresh=account.refresh, is_expired=account.is_expired, device_login=device_flow.device_login),
)
