"""Omnisend: checks the API key, brand and tag, and creates a segment of the contacts with the tag."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.errors import AudienceNotFound, InvalidConnection, RetryableError
from airflow_provider_segexport.model import Audience, Operation, Response
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import FieldType
from airflow_provider_segexport.vendors.delays import date_to_epoch_s
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.responses import (
    as_object,
    as_objects,
    as_text,
    get,
    required_id,
    required_list,
    send_json,
)
from airflow_provider_segexport.vendors.timestamps import day_before

BASE_URL = "https://api.omnisend.com"
API_PATH = "/api"

TAG = re.compile(r"(?! )[a-zA-Z0-9_\-: ]{1,128}(?<! )")
"""The characters that the official plugin accepts (omnisend/wp-omnisend, class-utils.php), and the colon in the API's
example `source: shopify` (read 2026-08). A blank at either end would make a different tag that looks the same."""

SEGMENTS_PAGE_SIZE = "50"  # maximum (segments OpenAPI 2026-03-15)
SEGMENT_READS, SEGMENT_WRITES = "segment_reads", "segment_writes"
"""Rate scopes of calls on segments."""


def resolve_audience(endpoint: ApiEndpoint, audience: str | None) -> Operation[Audience]:
    """Check the key, its store, the permission to read contacts, and the tag's characters.

    A tag exists as soon as a contact has it. Only a write can check the permission to write, so the first batch fails
    if it is missing.
    """
    api = endpoint.base_url + API_PATH
    response = yield versioned(get(f"{api}/brands/current"))
    store, name = read_store(endpoint, response)
    if audience is not None and not TAG.fullmatch(audience):
        raise AudienceNotFound(
            "An audience at Omnisend is a tag: 1 to 128 of a-z, A-Z, 0-9, blank, - _ and colon, without a blank at "
            "either end. To fix: correct `audience`."
        )
    query = {} if audience is None else {"tag": audience}
    read_json((yield versioned(get(f"{api}/contacts", limit="1", **query))))
    return Audience(
        base_url=api,
        account=store,
        account_name=name,
        audience=audience or "",
        audience_name=audience or "",
        extra=server_clock(response),
    )


def read_store(endpoint: ApiEndpoint, response: Response) -> tuple[str, str]:
    """Return id and name of the store that the key belongs to.

    Raises:
        InvalidConnection: the connection is pinned to another store.
    """
    brand = read_json(response)
    store, name = required_id(brand, "brandID"), as_text(as_object(brand).get("name"))
    pinned = endpoint.options.get("brand_id", "").strip()
    if pinned and pinned != store:
        raise InvalidConnection(
            f"The API key belongs to the Omnisend store {name!r} (brand id {store}), but the connection is pinned to "
            f"brand id {pinned}, so nothing is sent. To fix: enter a key of that store, or change 'Brand id' in the "
            "connection."
        )
    return store, name


def server_clock(response: Response) -> dict[str, str]:
    """Return the time in the `Date` header: `checked_at` in epoch seconds, and `since`, the date of the day before.

    Return an empty mapping if the response has no such header.
    """
    now = date_to_epoch_s(response.headers.get("date", ""))
    return {} if now is None else {"since": day_before(now), "checked_at": str(int(now))}


def create_field(audience: Audience, name: str, kind: FieldType) -> Operation[None]:
    """Do nothing, because the vendor creates a custom property when it is first sent.

    Args:
        audience: any audience of the account.
        name: name of the new field.
        kind: type of the new field.
    """
    del audience, name, kind
    return
    yield  # a generator, as every operation is


def audience_link(audience: Audience) -> str:
    """Return the URL of the web application. The URL of the contacts with a tag is not published."""
    del audience
    return "https://app.omnisend.com"


def create_segment(audience: Audience) -> Operation[str]:
    """Create a dynamic segment of the contacts with the tag, unless it exists; return its id."""
    query = {"limit": SEGMENTS_PAGE_SIZE}
    while True:
        page = read_json((yield versioned(get(f"{audience.base_url}/segments", **query), SEGMENT_READS)))
        for segment in required_list(as_object(page).get("segments"), "segments"):
            if segment.get("status") != "archived" and list(segment_filters(segment)) == [
                tag_filter(audience.audience)
            ]:
                return required_id(segment, "segmentID")
        after = next_cursor(page)
        if not after:
            break
        query["after"] = after
    conditions = [{"entity": "contact", "junction": "and", "filters": [tag_filter(audience.audience)]}]
    body = {"name": audience.audience, "conditionGroups": [{"conditions": conditions}]}
    request = versioned(send_json("POST", f"{audience.base_url}/segments", body), SEGMENT_WRITES)
    # Not repeated by itself, because an attempt without a response may have created the segment.
    return required_id(read_json((yield replace(request, repeatable=False)), 200, 201), "segmentID")


def tag_filter(tag: str) -> dict[str, Any]:
    """Return the segment filter for contacts with a tag."""
    return {"operator": "anyOf", "property": "tags", "value": [tag]}


def segment_filters(segment: dict[str, Any]) -> Iterator[Any]:
    """Yield all filters of a segment, from all groups and conditions."""
    for group in as_objects(segment.get("conditionGroups")):
        for condition in as_objects(group.get("conditions")):
            yield from as_objects(condition.get("filters"))


def next_cursor(page: dict[str, Any], cursors: Collection[str] = ()) -> str:
    """Return the cursor of the next page; empty on the last page.

    Args:
        page: a page, as the vendor returns it.
        cursors: cursors of the pages that have been read. One of them leads to no further page.

    Raises:
        RetryableError: the vendor says that there are more pages, and returns no new cursor.
    """
    paging = as_object(page.get("paging"))
    after = as_text(as_object(paging.get("cursors")).get("after"))
    if after and paging.get("hasMore") is not False and after not in cursors:
        return after
    if paging.get("hasMore") is True:
        raise RetryableError(
            "A list of Omnisend ends before its last page, so people or opt-outs are missing from it. To fix: run the "
            "task again later."
        )
    return ""
