"""The vendors' published OpenAPI files, and the check that holds an exchange to them."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import jsonschema

SPECS = Path(__file__).parents[2].parent / "shared" / "specs"
DOTDIGITAL_SPECS = (
    "dotdigital-contacts-v3.json",
    "dotdigital-accounts-v2.yaml",
    "dotdigital-address-books-v2.yaml",
    "dotdigital-data-fields-v2.yaml",
)


@functools.cache
def operations():
    """All documented dotdigital operations: (method, path segments) -> (operation, components)."""
    listed = []
    for name in DOTDIGITAL_SPECS:
        document = json.loads((SPECS / name).read_text())  # the YAML ones are written in JSON
        for path, operation in document["paths"].items():
            methods = operation.keys() & {"get", "put", "post", "delete", "patch"}
            listed.extend((method.upper(), path, operation[method], document) for method in methods)
    listed.sort(key=lambda item: item[1].count("{"))
    return listed


def operation_of(method, path):
    for documented_method, template, operation, document in operations():
        parts, wanted = path.split("/"), template.split("/")
        fits = len(parts) == len(wanted) and all(
            want.startswith("{") or want == part for part, want in zip(parts, wanted, strict=True)
        )
        if documented_method == method and fits:
            return operation, document
    return None, None


def check_exchange(method, path, body, reply):
    """Hold a request that was accepted, and every reply, to the published specification."""
    operation, document = operation_of(method, path)
    if operation is None:
        return
    if reply.ok and body is not None:
        validate(body, operation["requestBody"]["content"]["application/json"]["schema"], document)
    documented = operation["responses"].get(str(reply.status_code))
    if path.startswith("/contacts/v3") and reply.status_code != 429:
        assert documented, f"{method} {path} answers {reply.status_code}, which the spec does not know"
    content = (documented or {}).get("content", {}).get("application/json")
    if content and reply.content:
        validate(reply.json(), content["schema"], document)


def validate(value, schema, document):
    text = json.dumps(schema | {"components": document.get("components", {})})
    _validator(text).validate(value)


@functools.cache
def _validator(text):
    # An identifier by email fits two branches of the spec's oneOf: any of them will do.
    schema = json.loads(text.replace("oneOf", "anyOf"))
    if "identifiers" in schema["components"].get("schemas", {}):
        # Identifiers other than the named two are strings, says one part; contactId is an integer,
        # says another, and so do the examples.
        schema["components"]["schemas"]["identifiers"]["properties"]["contactId"] = {}
    # The list removal's body is a bare array, which the spec wraps for its documentation site.
    wrapped = schema.get("properties", {}).get("RAW_BODY", {})
    if schema.get("type") == "object" and schema.get("properties") == {}:
        wrapped = {"type": ["object", "array"]}  # nothing is said, and the example beside it is an array
    return jsonschema.Draft202012Validator(wrapped or schema)
