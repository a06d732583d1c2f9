"""Omnisend: the brand behind a key, the tag that is the audience, and a segment on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from airflow_provider_segexport.errors import AudienceNotFound, InvalidConnection
from airflow_provider_segexport.model import Audience, Operation, Response
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import FieldType
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.responses import (
    as_object,
    as_objects,
    as_text,
    get,
    required,
    required_id,
    required_list,
    send_json,
)
from airflow_provider_segexport.vendors.timestamps import day_before

BASE_URL = "https://api.omnisend.com"
API_PATH = "/api"

# What the official plugin lets through (omnisend/wp-omnisend, class-utils.php), and the colon of the API's own example
# `source: shopify`; read 2026-08. A blank at either end would make another tag that looks the same.
TAG = re.compile(r"(?! )[a-zA-Z0-9_\-: ]{1,128}(?<! )")

SEGMENTS_PAGE_SIZE = "50"  # the most a page may have (segments OpenAPI 2026-03-15)
SEGMENT_READS, SEGMENT_WRITES = "segment_reads", "segment_writes"


def resolve_audience(endpoint: ApiEndpoint, audience: str | None) -> Operation[Audience]:
    """Prove the key, the store it opens, the right to read contacts, and the tag's spelling.

    A tag needs no making: it is there when the first contact has it. No call shows the right to write but a write, so
    its lack comes to light with the first batch.
    """
    api = endpoint.base_url + API_PATH
    told = yield versioned(get(f"{api}/brands/current"))
    brand = read_json(told)
    store, name = required(brand, "brandID"), as_text(as_object(brand).get("name"))
    pinned = endpoint.options.get("brand_id", "").strip()
    if pinned and pinned != store:
        raise InvalidConnection(
            f"The API key opens the Omnisend store {name!r} (brand id {store}), and the connection is pinned to brand "
            f"id {pinned}: nothing is sent. Put in a key of that store, or change 'Brand id' in the connection."
        )
    if audience is not None and not TAG.fullmatch(audience):
        raise AudienceNotFound(
            "An audience at Omnisend is a tag: 1 to 128 of a-z, A-Z, 0-9, blank, - _ and colon, without a blank at "
            "either end."
        )
    tagged = {} if audience is None else {"tag": audience}
    read_json((yield versioned(get(f"{api}/contacts", limit="1", **tagged))))
    return Audience(
        base_url=api,
        account=store,
        account_name=name,
        audience=audience or "",
        audience_name=audience or "",
        extra=server_clock(told),
    )


def server_clock(response: Response) -> dict[str, str]:
    """`checked_at`: the vendor's time, epoch seconds; `since`: the day before, in any zone.

    Nothing where the answer tells no time.
    """
    try:
        now = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return {}
    return {"since": day_before(now.timestamp()), "checked_at": str(int(now.timestamp()))}


def create_field(audience: Audience, name: str, kind: FieldType) -> Operation[None]:
    """Nothing to do: a custom property comes into being when it is first sent."""
    del audience, name, kind
    return
    yield  # a generator, as every operation is


def audience_link(audience: Audience) -> str:
    """The web application; which address filters its contacts by a tag is not published."""
    del audience
    return "https://app.omnisend.com"


def create_segment(audience: Audience) -> Operation[str]:
    """A dynamic segment of those who have the tag, made once; returns its id. It fills by itself."""
    asked = {"limit": SEGMENTS_PAGE_SIZE}
    while True:
        page = read_json((yield versioned(get(f"{audience.base_url}/segments", **asked), SEGMENT_READS)))
        for one in required_list(as_object(page).get("segments"), "segments"):
            if one.get("status") != "archived" and list(segment_filters(one)) == [tag_filter(audience.audience)]:
                return required_id(one, "segmentID")
        after = next_cursor(page)
        if after is None:
            break
        asked["after"] = after
    conditions = [{"entity": "contact", "junction": "and", "filters": [tag_filter(audience.audience)]}]
    body = {"name": audience.audience, "conditionGroups": [{"conditions": conditions}]}
    made = read_json(
        (yield versioned(send_json("POST", f"{audience.base_url}/segments", body), SEGMENT_WRITES)), 200, 201
    )
    return required_id(made, "segmentID")


def tag_filter(tag: str) -> dict[str, Any]:
    """The filter of a segment that holds whoever has a tag."""
    return {"operator": "anyOf", "property": "tags", "value": [tag]}


def segment_filters(segment: dict[str, Any]) -> Iterator[Any]:
    """All filters of a segment, whatever groups and conditions they stand in."""
    for group in as_objects(segment.get("conditionGroups")):
        for condition in as_objects(group.get("conditions")):
            yield from as_objects(condition.get("filters"))


def next_cursor(page: dict[str, Any]) -> str | None:
    """The cursor of the next page; None on the last one."""
    paging = as_object(page.get("paging"))
    after = as_text(as_object(paging.get("cursors")).get("after"))
    return after if after and paging.get("hasMore") is not False else None
