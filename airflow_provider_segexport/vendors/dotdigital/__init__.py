"""dotdigital, lists by API v2 and contacts by v3: `batch -> import job -> report`.

An audience is an address book. Facts from developer.dotdigital.com and the published specs, read 2026-08.
"""

from __future__ import annotations

from airflow_provider_segexport.vendors.auth import ConnectionForm
from airflow_provider_segexport.vendors.base import Limits, Vendor
from airflow_provider_segexport.vendors.dotdigital import (
    account,
    fields,
    imports,
    members,
    optouts,
    removals,
    responses,
)

VENDOR = Vendor(
    name="dotdigital",
    title="dotdigital",
    audience_noun="address book",
    base_url=account.BASE_URL,
    # 50 MB of JSON and 25 active imports an account, shared with every other integration: stay below both. A report
    # lists every contact of its job, so 5,000 keeps a poll near 1 MB. 121 s is the vendor's own advice for a timeout.
    limits=Limits(
        batch_rows=5000, batch_bytes=45_000_000, max_concurrency=4, max_jobs=20, timeout_s=121, poll_one_per_call=True
    ),
    fields=fields.FIELD_RULES,
    max_custom_chars=fields.MAX_VALUE_CHARS,
    custom_name_pattern=r"[A-Za-z0-9_-]{1,20}",
    custom_name_hint="1 to 20 of letters, digits, _ and -",
    resolve_audience=account.resolve_audience,
    create_field=account.create_field,
    item_template=imports.item_template,
    upsert=imports.upsert,
    poll=imports.poll,
    collect=imports.collect,
    list_members=members.list_members,
    removal=removals.REMOVAL,
    list_optouts=optouts.list_optouts,
    # No `lookup`: v3 lists no imports, so that the id of one whose answer was lost is lost with it. Sent again, it
    # updates the same contacts (contacts specification 3.4.3; no idempotency key anywhere, conventions page; 2026-08).
    # No `Target.headroom`: account-info tells credits and calls, and not the contacts that the contract has room for.
    audience_link=account.audience_link,
    form=ConnectionForm(
        login_label="API user",
        credential_label="Password",
        placeholders={
            "host": f"empty: {account.BASE_URL}, then the account's region",
            "login": "apiuser-xxxx@apiconnector.com",
        },
        audience_help="Address book id: the number in the address of the book's page.",
    ),
    retry_hint=responses.retry_hint,
    api_paths=("/v2", "/contacts/v3", "/v3"),
    remaining_quota=responses.remaining_quota,
)
