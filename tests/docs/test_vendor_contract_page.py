"""The page on a new vendor names every member of the contract, each under the right heading."""

from __future__ import annotations

import dataclasses
import re

from docs.pages import DOCS

from airflow_provider_segexport.vendors.base import Removal, Vendor

MEMBERS = (DOCS / "adding-a-vendor.md").read_text().split("## The members of `Vendor`")[1].split("## The simulator")[0]
REQUIRED, OPTIONAL = MEMBERS.split("### Optional data")


def names(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def members(contract: type) -> dict[str, bool]:
    """Whether each member must be given, by name."""
    return {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(contract)}


def test_the_page_names_each_member_of_a_vendor():
    """A member that a vendor may leave out is named under the headings of the optional ones."""
    of_vendor = members(Vendor)
    assert {name for name, is_required in of_vendor.items() if is_required} - names(REQUIRED) == set()
    assert {name for name, is_required in of_vendor.items() if not is_required} - names(OPTIONAL) == set()


def test_the_page_names_each_member_of_a_removal():
    """In the entry on `removal`."""
    entry = OPTIONAL.split("\n- `removal` ")[1].split("\n- ")[0]
    assert set(members(Removal)) - names(entry) == set()
