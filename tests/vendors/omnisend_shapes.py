"""The published OpenAPI of Omnisend, version 2026-03-15, for the calls that an export makes.

Written by hand from the vendor's files (contacts, batches, brands, segments), as github.com/api-evangelist/omnisend
holds them at ce20c327, read 2026-08. Requests are held tighter than there: names that the vendor does not know, and all
that touches any person's consent, are refused.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import jsonschema

Schema = dict[str, Any]

TEXT, INTEGER, SWITCH, ANYTHING = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {}
STATUS = {"enum": ["subscribed", "unsubscribed", "nonSubscribed"]}
TEXTS = {"type": "array", "items": TEXT}


def thing(needed: tuple[str, ...] = (), *, strict: bool = False, **properties: Schema) -> Schema:
    """Return the schema of an object; `strict` for objects that the provider sends."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(needed),
        "additionalProperties": not strict,
    }


def many(of: Schema, least: int = 0, most: int | None = None) -> Schema:
    return {"type": "array", "items": of, "minItems": least, **({} if most is None else {"maxItems": most})}


TAGS = many(TEXT, 1, 100)

MOMENT = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"}

EMAIL = thing(
    ("type", "id", "sendWelcomeMessage"),
    strict=True,
    type={"const": "email"},
    id={"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$"},
    sendWelcomeMessage={"const": False},
    channels=thing(
        ("email",),
        strict=True,
        email=thing(("status", "statusChangedAt"), strict=True, status={"const": "subscribed"}, statusChangedAt=MOMENT),
    ),
    consent=thing(("createdAt",), strict=True, createdAt=MOMENT, source=TEXT, ip=TEXT, userAgent=TEXT),
) | {"dependentRequired": {"channels": ["consent"], "consent": ["channels"]}}
"""The vendor takes any status, with or without a date and a consent; an export sends all of them or none."""

PHONE = thing(
    ("type", "id", "sendWelcomeMessage"),
    strict=True,
    type={"const": "phone"},
    id={"type": "string", "pattern": r"^\+[1-9][0-9]{6,14}$"},
    sendWelcomeMessage={"const": False},
)

PROBED = thing(
    ("type", "id", "sendWelcomeMessage", "channels"),
    strict=True,
    type={"const": "email"},
    id={"type": "string", "pattern": r"@my-domain\.example$"},
    sendWelcomeMessage={"const": False},
    channels=thing(
        ("email",),
        strict=True,
        email={"const": {"status": "unsubscribed", "statusChangedAt": "2024-01-02T00:00:00Z"}},
    ),
)
"""The only status beside `subscribed`: a probe's, of an address of the user's own."""

IDENTIFIER = {"oneOf": [EMAIL, PHONE, PROBED]}

ITEM = thing(
    ("identifiers",),
    strict=True,
    identifiers=many(IDENTIFIER, 1, 2),
    tags=TAGS,
    gender={"enum": ["m", "f"]},
    birthdate={"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    countryCode={"type": "string", "pattern": "^[A-Z]{2}$"},
    customProperties={
        "type": "object",
        "propertyNames": {"pattern": "^[a-zA-Z0-9_]{1,128}$"},
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
    **dict.fromkeys(("firstName", "lastName", "address", "city", "state", "postalCode", "country"), TEXT),
)

FILTER = thing(("operator", "property", "value"), strict=True, operator=TEXT, property={"const": "tags"}, value=TEXTS)
CONDITION = thing(("entity", "filters"), strict=True, entity=TEXT, junction=TEXT, filters=many(FILTER, 1))
GROUPS = many(thing(("conditions",), strict=True, conditions=many(CONDITION)))

TAGGED: Schema = {
    **thing(
        ("tags",),
        strict=True,
        tags=TAGS,
        segmentID=TEXT,
        **dict.fromkeys(("emails", "contactIDs", "phones"), many(TEXT, 1, 250)),
    ),
    "minProperties": 2,
}

SENT: dict[tuple[str, str], Schema] = {
    ("POST", "/api/batches"): thing(
        ("endpoint", "method", "items"),
        strict=True,
        endpoint={"const": "contacts"},
        method={"const": "POST"},
        items=many(ITEM, 1, 100),
    ),
    ("POST", "/api/segments"): thing(
        ("name", "conditionGroups"), strict=True, name={"type": "string", "maxLength": 256}, conditionGroups=GROUPS
    ),
    ("POST", "/api/contacts/tags"): TAGGED,
    ("DELETE", "/api/contacts/tags"): TAGGED,
}

CURSORS = thing(
    limit=INTEGER,
    hasMore=SWITCH,
    cursors=thing(after={"type": ["string", "null"]}, before={"type": ["string", "null"]}),
)
CONTACT = thing(
    ("id",),
    identifiers=many(thing(type={"enum": ["email", "phone"]}, id=TEXT, channels={"type": "object"})),
    status=STATUS,
    gender={"enum": ["m", "f"]},
    customProperties={"type": "object"},
    **dict.fromkeys(("phone", "tags", "segments"), TEXTS),
    **dict.fromkeys(
        ("id", "email", "firstName", "lastName", "address", "city", "state", "postalCode", "country", "countryCode"),
        TEXT,
    ),
)
BATCH_ITEM = thing(itemID=TEXT, request=ANYTHING, response=ANYTHING, responseCode=INTEGER, status=TEXT)
BATCH = thing(
    ("batchID", "status"),
    errors=many(BATCH_ITEM),
    responses=many(BATCH_ITEM),
    **dict.fromkeys(("batchID", "endpoint", "method", "status", "origin", "createdAt", "startedAt", "endedAt"), TEXT),
    **dict.fromkeys(("totalCount", "finishedCount", "errorsCount"), INTEGER),
)
SEGMENT = thing(
    ("segmentID", "name"),
    segmentID=TEXT,
    name=TEXT,
    status={"enum": ["ready", "building", "archived"]},
    conditionGroups={"type": "array"},
)
PROBLEM = thing(
    ("title", "status"),
    status=INTEGER,
    retryAfter=INTEGER,
    errors=many(thing(field=TEXT, code=TEXT, message=TEXT)),
    **dict.fromkeys(("type", "title", "detail", "instance"), TEXT),
)

COMMON = (400, 401, 403, 410, 429, 500)
ANSWERED: dict[tuple[str, str], tuple[int, Schema, tuple[int, ...]]] = {
    ("GET", "/api/brands/current"): (200, thing(("brandID",), brandID=TEXT, name=TEXT, connected=SWITCH), COMMON),
    ("GET", "/api/contacts"): (200, thing(("contacts",), contacts=many(CONTACT), paging=CURSORS), COMMON),
    ("POST", "/api/batches"): (201, thing(("batchID",), batchID=TEXT, totalCount=INTEGER), (*COMMON, 413)),
    ("GET", "/api/batches"): (200, thing(("batches",), batches=many(BATCH)), COMMON),
    ("GET", "/api/batches/*"): (200, BATCH, (*COMMON, 404)),
    ("GET", "/api/batches/*/items"): (200, BATCH, (*COMMON, 404)),
    ("GET", "/api/segments"): (200, thing(("segments",), segments=many(SEGMENT), paging=CURSORS), COMMON),
    ("POST", "/api/segments"): (201, SEGMENT, COMMON),
    ("POST", "/api/contacts/tags"): (202, ANYTHING, COMMON),
    ("DELETE", "/api/contacts/tags"): (202, ANYTHING, COMMON),
}


def check_exchange(method: str, path: str, body: object, reply: Any) -> None:
    """Check an accepted request, and every response, against the vendor's specification."""
    call = (method, re.sub(r"(?<=/batches/)[^/]+", "*", path))
    assert call in ANSWERED, f"{method} {path} is no call that the vendor documents and an export makes"
    status, schema, refusals = ANSWERED[call]
    if reply.ok and call in SENT:
        valid(body, SENT[call])
    assert reply.status_code in (status, *refusals), f"{method} {path} answers {reply.status_code}"
    if reply.content:
        valid(reply.json(), schema if reply.ok else PROBLEM)


def valid(value: object, schema: Schema) -> None:
    _validator(json.dumps(schema)).validate(value)


@functools.cache
def _validator(text: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(text))
