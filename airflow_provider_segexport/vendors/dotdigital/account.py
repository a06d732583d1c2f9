"""dotdigital: checks the API user, and reads the account's region, address book and data fields."""

from __future__ import annotations

import re

from airflow_provider_segexport.errors import AudienceNotFound, InvalidConnection
from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import FieldType
from airflow_provider_segexport.vendors.dotdigital.responses import error_of, raise_for, read_json
from airflow_provider_segexport.vendors.endpoints import is_vendor_host
from airflow_provider_segexport.vendors.responses import (
    DIGITS,
    as_int,
    as_object,
    as_objects,
    as_text,
    get,
    required,
    required_id,
    required_list,
    send_json,
)

BASE_URL = "https://r1-api.dotdigital.com"

DOMAINS = ("dotdigital.com", "dotmailer.com", "apiconnector.com")
"""Domains that the vendor's Magento module accepts as an account's `ApiEndpoint`
(dotmailer-magento2-extension, Model/Apiconnector/Test.php)."""

FIELD_TYPES: dict[str, FieldType] = {"String": "text", "Numeric": "number", "Boolean": "boolean", "Date": "date"}


def resolve_audience(endpoint: ApiEndpoint, audience: str | None) -> Operation[Audience]:
    """Check the API user, resolve the account's region, and read the address book and the data fields."""
    info = read_json((yield get(f"{endpoint.base_url}/v2/account-info")))
    properties = as_objects(as_object(info).get("properties"))
    values = {as_text(entry.get("name")): as_text(entry.get("value")) for entry in properties}
    api = resolve_region(endpoint, required(values, "ApiEndpoint"))
    account, name = required_id(info, "id", DIGITS), values.get("Name", "")
    if audience is None:
        return Audience(base_url=api, account=account, account_name=name)
    if not re.fullmatch(r"[0-9]{1,10}", audience):
        raise AudienceNotFound(
            "A dotdigital address book id is a number. To fix: copy it from the address of the book's page in the "
            "browser."
        )
    book = read_json((yield get(f"{api}/v2/address-books/{audience}")))
    fields, unsupported = yield from read_data_fields(api)
    return Audience(
        base_url=api,
        account=account,
        account_name=name,
        audience=str(int(audience)),
        audience_name=as_text(as_object(book).get("name")),
        member_count=as_int(as_object(book).get("contacts")),
        fields=fields,
        unsupported=unsupported,
    )


def read_data_fields(api: str) -> Operation[tuple[dict[str, VendorField], dict[str, str]]]:
    """Return the account's data fields by name, and the types of the fields that exports cannot write, by name.

    Exports cannot write a field without a type, or of a type such as `NotAvailableInThisVersion`.
    """
    fields = required_list(read_json((yield get(f"{api}/v2/data-fields"))), "data fields")
    types = {as_text(entry.get("name")): as_text(entry.get("type")) for entry in fields if as_text(entry.get("name"))}
    return (
        {name.lower(): VendorField(name, FIELD_TYPES[kind]) for name, kind in types.items() if kind in FIELD_TYPES},
        {name.lower(): kind for name, kind in types.items() if kind not in FIELD_TYPES},
    )


def resolve_region(endpoint: ApiEndpoint, region_url: str) -> str:
    """Return the base URL of the account's region; raise `InvalidConnection` if it may not receive credentials."""
    url = region_url.rstrip("/")
    if "?" not in url and is_vendor_host(url, DOMAINS, "" if endpoint.is_default_url else endpoint.base_url):
        return url
    raise InvalidConnection(
        "dotdigital's response names an API endpoint outside dotdigital's domains; nothing is sent there. "
        "To fix: leave the base URL of the connection empty, or check which server answers at it."
    )


def create_field(audience: Audience, name: str, kind: FieldType) -> Operation[None]:
    """Create a data field. A field that already exists is not an error.

    Args:
        audience: any audience of the account.
        name: name of the new field.
        kind: type of the new field.
    """
    data_type = next(name for name, field_type in FIELD_TYPES.items() if field_type == kind)
    response = yield send_json(
        "POST", f"{audience.base_url}/v2/data-fields", {"name": name, "type": data_type, "visibility": "Private"}
    )
    if response.status in {200, 201} or error_of(response)[0] == "ERROR_NON_UNIQUE_DATAFIELD":
        return
    raise_for(response)


def audience_link(audience: Audience) -> str:
    """Return the URL of the address book's page in the web application of its region."""
    region_match = re.match(r"https://(r[0-9]+)-", audience.base_url)
    region_name = region_match[1] if region_match else "r1"
    return f"https://{region_name}-app.dotdigital.com/contacts/addressbooks/{audience.audience}"
