"""Strict checks of requests, because vendors silently ignore unknown names."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import jsonschema
from simulator import constant_contact_client, specifications

PAGING = {"cursor"}
"""Parameters in links to the next page that the specifications do not list."""


def query(operation: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Raise if a query has parameters that its operation does not document."""
    documented = {item["name"]: item for item in operation.get("parameters", ()) if item.get("in") == "query"}
    unknown = given.keys() - documented.keys() - PAGING
    assert not unknown, f"the query has {sorted(unknown)}; documented are {sorted(documented)}"
    for name in given.keys() & documented.keys():
        schema = documented[name].get("schema") or {
            key: value for key, value in documented[name].items() if key in {"type", "enum", "maximum", "minimum"}
        }
        value = json.loads(given[name]) if schema.get("type") in {"integer", "boolean"} else given[name]
        values = given[name].split(",") if documented[name].get("format") == "csv" else [value]
        for each in values if schema.get("type") != "array" else ():
            jsonschema.validate(each, schema)


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
    """The specification's paths begin below `/v3`; it does not describe logins."""
    if not path.startswith("/v3/"):
        return
    operation = constant_contact_client.operation_of(method, path.removeprefix("/v3"))
    assert operation, f"{method} {path} is not in the specification"
    query(operation, given)
    if body is not None:
        schema = next(item["schema"] for item in operation["parameters"] if item["in"] == "body")
        validator(json.dumps(schema)).validate(body)


def dotdigital(method: str, path: str, given: Mapping[str, str], body: object) -> None:
    """Paths that are in no file belong to the older v2."""
    operation, document = specifications.operation_of(method, path)
    if operation is None:
        return
    query(operation, given)
    if body is not None:
        specifications.validate(body, operation["requestBody"]["content"]["application/json"]["schema"], document)
