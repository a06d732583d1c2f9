"""The v2 routes of data fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.people import pack, unpack
from airflow_provider_segexport.simulator.wire import Call, Reply

from .books import v2_body
from .errors import v2_refused
from .state import DEFAULT_FIELDS, KINDS, DataField

if TYPE_CHECKING:
    from .reads import Json
    from .state import Account

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,20}")  # data-fields spec 2.0.1
_STANDARD = frozenset(new_field.name for new_field in DEFAULT_FIELDS[:6])


class FieldRoutes:
    """The routes below /v2/data-fields."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def list(self, _call: Call) -> Reply:
        """Handle GET /v2/data-fields."""
        return Reply.json([_shown(field) for field in self._account.fields.values()])

    def create(self, call: Call) -> Reply:
        """Handle POST /v2/data-fields."""
        body = v2_body(call)
        name, kind = str(body.get("name") or ""), body.get("type")
        visibility = body.get("visibility", "Private")
        if not _NAME.fullmatch(name):
            raise v2_refused("The field name is invalid. ERROR_DATAFIELD_INVALID")
        if kind not in KINDS or visibility not in ("Private", "Public"):
            raise v2_refused("Error: ERROR_PARAMETER_INVALID")
        if name.upper() in {field_name.upper() for field_name in self._account.fields}:
            # The message is in the vendor's Magento client, read 2026-08; the 400 is assumed.
            raise v2_refused("Field already exists. ERROR_NON_UNIQUE_DATAFIELD")
        new_field = DataField(name, str(kind), str(visibility), body.get("defaultValue"))
        self._account.fields[name] = new_field
        return Reply.json(_shown(new_field), 201)

    def delete(self, call: Call) -> Reply:
        """Handle DELETE /v2/data-fields/{name}; the field is deleted with all its values."""
        name = call.params["name"]
        if name not in self._account.fields:
            raise v2_refused("Error: ERROR_DATAFIELD_NOTFOUND", 404)
        if name in _STANDARD:
            return Reply.json({"result": False, "dependencies": ["Standard field"]})
        del self._account.fields[name]
        for contact in self._account.contacts.by_id.values():
            stored = unpack(contact.fields)
            if stored.pop(name, None) is not None:
                contact.fields = pack(stored)
        call.count("fields_deleted")
        # The published schema has an array here; the example beside it shows null (v2 specification, read 2026-08).
        return Reply.json({"result": True, "dependencies": []})


def _shown(field: DataField) -> Json:
    return {
        "name": field.name,
        "type": field.kind,
        "visibility": field.visibility,
        "defaultValue": field.default,
    }
