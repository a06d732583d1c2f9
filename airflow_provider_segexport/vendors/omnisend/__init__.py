"""Omnisend, API version 2026-03-15. An upsert is a batch job with a result for each item.

An audience is a tag, which is part of each item. Sources: the vendor's OpenAPI files of that version and its official
plugins, read 2026-08.
"""

from __future__ import annotations

from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.vendors.auth import ConnectionForm, ConnectionFormField
from airflow_provider_segexport.vendors.base import Limits, Vendor
from airflow_provider_segexport.vendors.omnisend import (
    account,
    account_facts,
    fields,
    imports,
    lost_jobs,
    members,
    optouts,
    permissions,
    probe,
    proof,
    records,
    removals,
    responses,
    tag_experiment,
    tags,
)
from airflow_provider_segexport.vendors.verification import Verification

VENDOR = Vendor(
    name="omnisend",
    title="Omnisend",
    audience_noun="tag",
    base_url=account.BASE_URL,
    documentation_url="https://api-docs.omnisend.com/",
    # Published: 100 items in a batch. The batches page of v3 asks to stay below 1 MB; this version names no size.
    # Polling a thousand jobs takes four calls. The timeout is three times the 10 s that the vendor recommends.
    # All keys and applications of a brand share 400 calls a minute. The vendor does not document whether calls with an
    # endpoint limit count against the brand's limit too, so they count against both.
    limits=Limits(
        batch_rows=100,
        batch_bytes=990_000,
        max_concurrency=4,
        max_jobs=1000,
        timeout_s=30,
        rates=(Rate(400, 60),),
        scoped_rates={
            tags.TAGS_SCOPE: (Rate(60, 60),),
            account.SEGMENT_READS: (Rate(100, 60),),
            account.SEGMENT_WRITES: (Rate(15, 60),),
        },
    ),
    fields=fields.FIELD_RULES,
    max_custom_chars=None,
    custom_name_pattern=fields.CUSTOM_NAME,
    custom_name_hint="1 to 128 of letters, digits and _",
    resolve_audience=account.resolve_audience,
    create_field=account.create_field,
    item_template=imports.item_template,
    upsert=imports.upsert,
    poll=imports.poll,
    collect=imports.collect,
    collect_without_changes=imports.collect_without_changes,
    list_members=members.list_members,
    verification=Verification(
        read_members=members.read_members,
        page_size=int(members.PAGE_SIZE),
        read_optouts=optouts.read_optouts,
        read_record=records.read_record,
        sent_values=records.sent_values,
    ),
    # No `directory`: no call of the API returns the tags in use (OpenAPI 2026-03-15, read 2026-11).
    check_permissions=permissions.check_permissions,
    check_reads=permissions.check_reads,
    removal=removals.REMOVAL,
    find_lost_jobs=lost_jobs.find_lost_jobs,
    list_optouts=optouts.list_optouts,
    audience_link=account.audience_link,
    retry_hint=responses.retry_hint,
    api_paths=("/api",),
    implicit_custom_fields=True,
    experiment=tag_experiment.EXPERIMENT,
    extra_calls=tags.extra_calls,
    consent_proof=proof.PROOF,
    probe=probe.PROBE,
    why_not_exported=account_facts.why_not_exported,
    form=ConnectionForm(
        credential_label="API key",
        placeholders={"password": "from Store settings > API keys"},
        audience_help="A tag: 1 to 128 letters, digits, blanks, - _ and colons. It need not exist yet.",
        fields=(
            ConnectionFormField(
                "brand_id",
                "Brand id",
                "Pins the store: if the key belongs to another store, exports stop before they send anything. The "
                f"connection test shows the id. The key needs {responses.PERMISSIONS}.",
            ),
        ),
    ),
)
