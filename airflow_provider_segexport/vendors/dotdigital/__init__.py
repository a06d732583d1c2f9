"""dotdigital: API v3 for contacts, v2 for address books. An upsert is an import job with a report.

An audience is an address book. Sources: developer.dotdigital.com and the published specifications, read 2026-08.
"""

from __future__ import annotations

from functools import partial

from airflow_provider_segexport.vendors.auth import ConnectionForm
from airflow_provider_segexport.vendors.base import Limits, Vendor
from airflow_provider_segexport.vendors.dotdigital import (
    account,
    audiences,
    fields,
    imports,
    members,
    optouts,
    probe,
    proof,
    records,
    removals,
    responses,
)
from airflow_provider_segexport.vendors.probe_answers import why_not_removed
from airflow_provider_segexport.vendors.verification import Verification

VENDOR = Vendor(
    name="dotdigital",
    title="dotdigital",
    audience_noun="address book",
    base_url=account.BASE_URL,
    documentation_url="https://developer.dotdigital.com/",
    # Published: 50 MB of JSON in one import and 25 active imports in an account, shared with all other integrations.
    # A report lists every contact of its job, so 5,000 rows keep a poll near 1 MB. The vendor recommends a timeout of
    # 121 s.
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
    verification=Verification(
        read_members=members.read_members,
        page_size=members.PAGE_SIZE,
        read_optouts=optouts.read_optouts,
        read_record=records.read_record,
        sent_values=records.sent_values,
    ),
    directory=audiences.DIRECTORY,
    removal=removals.REMOVAL,
    list_optouts=optouts.list_optouts,
    # No `find_lost_jobs`: v3 cannot list imports, and has no idempotency keys (contacts specification 3.4.3 and
    # conventions page, read 2026-08). A repeated import updates the same contacts.
    # No `Audience.contact_headroom`: account-info returns credits and calls, but no contact limit.
    audience_link=account.audience_link,
    probe=probe.PROBE,
    with_facts=probe.with_facts,
    why_not_removed=partial(why_not_removed, "dotdigital", probe.NO_BOOK_FACT),
    form=ConnectionForm(
        login_label="API user",
        credential_label="Password",
        placeholders={
            "host": f"empty: {account.BASE_URL}, then the account's region",
            "login": "apiuser-xxxx@apiconnector.com",
        },
        audience_help="Address book id: the number in the address of the book's page, or name: and its exact name.",
    ),
    retry_hint=responses.retry_hint,
    api_paths=("/v2", "/contacts/v3", "/v3"),
    remaining_quota=responses.remaining_quota,
    consent_proof=proof.PROOF,
)
