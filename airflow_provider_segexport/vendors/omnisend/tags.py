"""Omnisend: adds and removes tags without changing the tags of others.

`POST` and `DELETE /contacts/tags` change only the tags that they name (contacts OpenAPI 2026-03-15, read 2026-11). One
call selects the union of at most 250 addresses and 250 contact ids; the limit is 60 calls a minute. Exports select
people only by address, because the address is the key of segment and ledger. The vendor responds with 202 and makes the
change later. There is no job to poll, and the vendor ignores addresses that the brand does not have.

The vendor does not document whether `tags` of an upsert are merged with a contact's tags or replace them. An upsert
contains the tag only if an experiment has proven `merge`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchResult,
    Operation,
    Reason,
    Request,
    Response,
    RowRejection,
)
from airflow_provider_segexport.vendors.omnisend.responses import error_of, raise_for, versioned
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, send_json

TAGS_SCOPE = "tags"
"""Rate limit scope of `/contacts/tags`: 60 calls a minute, in addition to the limit of all calls."""

MAX_SELECTED = 250
"""Maximum addresses in one call."""

TAGS_FIELD = re.compile(r"tags\b")

ACCEPTED = frozenset({200, 202, 204})

FACT = "tags_on_upsert"
MERGE, REPLACE = "merge", "replace"


def merges(audience: Audience) -> bool:
    """Return whether upserts may contain the tag, because an experiment has proven that a contact's other tags stay."""
    return audience.extra.get(FACT) == MERGE


def extra_calls(audience: Audience) -> Mapping[str, int]:
    """Return the additional calls of a batch, by rate scope: one reads its items, one adds the tag to its people."""
    return {} if merges(audience) else {"": 1, TAGS_SCOPE: 1}


def tags_of_item(audience: Audience) -> str:
    """Return the JSON text of the member `tags` in a planned item, with the comma before it.

    The text is unique in an item: a tag has no characters that JSON escapes, and quotes in values are escaped.
    """
    return f',"tags":["{audience.audience}"]'


def without_tags(audience: Audience, request: Request) -> Request:
    """Return an upsert request whose items have no member `tags`, so it changes no tags of a contact."""
    body = request.body or b""
    return replace(request, body=body.replace(tags_of_item(audience).encode(), b""))


def items_as_sent(audience: Audience, batch: Batch) -> Iterator[str]:
    """Return a batch's items in the form in which `upsert` sends them."""
    cut = "" if merges(audience) else tags_of_item(audience)
    return (item.replace(cut, "") if cut else item for item in batch.items)


def tag_accepted(audience: Audience, batch: Batch, result: BatchResult) -> Operation[BatchResult]:
    """Add the tag, by address, to the rows of a batch that the vendor has accepted.

    Contact ids in the result are not used, because an address may belong to another contact by now. If the vendor
    rejects a call, the call is halved until the invalid address is isolated.

    Args:
        audience: names the brand and the tag.
        batch: the batch, whose items were sent without the tag.
        result: contact ids, rejected rows and rows to retry.

    Returns:
        The result, with the rows whose tag was rejected.
    """
    left_out = {rejection.index for rejection in result.rejected} | set(result.retry)
    accepted = [index for index in range(len(batch)) if index not in left_out]
    rejected: dict[int, RowRejection] = {}
    parts = [accepted[start : start + MAX_SELECTED] for start in range(0, len(accepted), MAX_SELECTED)]
    while parts:
        part = parts.pop()
        body = {"emails": [batch.emails[index] for index in part], "tags": [audience.audience]}
        response = yield tags_request("POST", audience, body)
        if response.status in ACCEPTED:
            continue
        if response.status not in {400, 413} or is_about_the_tag(response):
            raise_for(response)
        if len(part) > 1:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
        else:
            kind, message = error_of(response)
            rejected[part[0]] = RowRejection(part[0], Reason.REJECTED_BY_VENDOR, kind, message)
    ids = {index: contact_id for index, contact_id in result.contact_ids.items() if index not in rejected}
    return replace(result, rejected=(*result.rejected, *rejected.values()), contact_ids=ids)


def is_about_the_tag(response: Response) -> bool:
    """Return whether `tags` is the only invalid field of a rejected call, so that halving the call would not help."""
    fields = [as_text(error.get("field")) for error in as_objects(as_object(response.json()).get("errors"))]
    return bool(fields) and all(TAGS_FIELD.match(field) for field in fields)


def change_tags(method: str, audience: Audience, tags: Sequence[str], emails: Sequence[str]) -> Operation[None]:
    """Add or remove tags, in as many calls as are needed. Each call is idempotent.

    Args:
        method: `POST` adds, `DELETE` removes.
        audience: names the brand.
        tags: 1 to 100 tags.
        emails: addresses of the people.
    """
    for start in range(0, len(emails), MAX_SELECTED):
        body = {"emails": list(emails[start : start + MAX_SELECTED]), "tags": list(tags)}
        response = yield tags_request(method, audience, body)
        if response.status not in ACCEPTED:
            raise_for(response)


def tags_request(method: str, audience: Audience, body: Mapping[str, Any]) -> Request:
    """Return a request that adds (`POST`) or removes (`DELETE`, with a body) tags.

    Args:
        method: `POST` or `DELETE`.
        audience: names the brand.
        body: addresses and tags.
    """
    return versioned(send_json(method, f"{audience.base_url}/contacts/tags", body), TAGS_SCOPE)
