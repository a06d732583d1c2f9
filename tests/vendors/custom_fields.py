"""Changes of an account's custom field by another user."""

from __future__ import annotations

import pytest
import requests
from vendors.harness import VendorHarness

from airflow_provider_segexport.simulator.people import pack, unpack


def delete_field(account: VendorHarness) -> None:
    """Delete the field at the vendor with its values, as another user would."""
    name = account.row.custom[1]
    if account.name == "constant_contact":  # its simulator has no route for this
        book = account.sim._vendors[account.name].account
        key = next(key for key, field in book.fields.items() if field.label == name)
        del book.fields[key]
        for contact in book.contacts:
            contact.fields = pack({name: held for name, held in unpack(contact.fields).items() if name != f"cf:{key}"})
        return
    path = account.row.field_path or pytest.skip("this vendor's simulator deletes no custom field")
    path = path.format(audience=account.audience, name=name, key=name.replace(" ", ""))
    url = f"{account.described['base_url']}{path}"
    answer = requests.delete(url, auth=account.row.auth(account.described), timeout=10)
    assert answer.status_code < 300, answer.text


def make_field(account: VendorHarness, kind: str) -> None:
    """Create the field with a type that the vendor defines."""
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    account.call(account.vendor.create_field(target, account.row.custom[1], kind))
