"""Requests, held tighter than replies: a name that a vendor does not know it drops without a word."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import jsonschema
from simulator import constant_contact_client, specifications

PAGING = {"cursor"}
"""What a link to the next page carries, and no parameter table lists."""


def query(operation: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Raise where a query holds what its operation does not document."""
    known = {one["name"]: one for one in operation.get("parameters", ()) if one.get("in") == "query"}
    strange = given.keys() - known.keys() - PAGING
    assert not strange, f"the query holds {sorted(strange)}, and {sorted(known)} are documented"
    for name in given.keys() & known.keys():
        schema = known[name].get("schema") or {
            key: value for key, value in known[name].items() if key in {"type", "enum", "maximum", "minimum"}
        }
        value = json.loads(given[name]) if schema.get("type") in {"integer", "boolean"} else given[name]
        if schema.get("type") != "array":
            jsonschema.validate(value, schema)


@functools.cache
def rows() -> Mapping[str, Any]:
    """Constant Contact's definitions, closed; a row of an import may name custom fields."""
    definitions: dict[str, Any] = constant_contact_client.closed(constant_contact_client.swagger()["definitions"])
    row = definitions["JsonImportContact"]
    return {
        **definitions,
        "JsonImportContact": {**row, "patternProperties": {"^cf:.": {"type": "string", "maxLength": 255}}},
    }


@functools.cache
def validator(text: str) -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator({**constant_contact_client.closed(json.loads(text)), "definitions": rows()})


def constant_contact(method: str, path: str, given: Mapping[str, str], body: object) -> None:
    """The specification's paths begin below `/v3`; sign-in is not in it."""
    if not path.startswith("/v3/"):
        return
    operation = constant_contact_client.operation_of(method, path.removeprefix("/v3"))
    assert operation, f"{method} {path} is not in the specification"
    query(operation, given)
    if body is not None:
        schema = next(one["schema"] for one in operation["parameters"] if one["in"] == "body")
        validator(json.dumps(schema)).validate(body)


def dotdigital(method: str, path: str, given: Mapping[str, str], body: object) -> None:
    """Paths that no file holds are the older v2's."""
    operation, document = specifications.operation_of(method, path)
    if operation is None:
        return
    query(operation, given)
    if body is not None:
        specifications.validate(body, operation["requestBody"]["content"]["application/json"]["schema"], document)
