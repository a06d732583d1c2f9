"""A page that names itself as the next one: the list is not taken as complete, because people would be missing."""

from __future__ import annotations

import json

import pytest

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.model import Audience, Response
from airflow_provider_segexport.vendors.constant_contact import optouts as constant_contact_optouts
from airflow_provider_segexport.vendors.constant_contact import removals as constant_contact_removals
from airflow_provider_segexport.vendors.dotdigital import members as dotdigital_members
from airflow_provider_segexport.vendors.member_pages import read_parts
from airflow_provider_segexport.vendors.omnisend import members as omnisend_members
from airflow_provider_segexport.vendors.operations import run_operation

AUDIENCE = Audience("https://api.example.com/v3", "account", "Account", "7", "List")
CONTACT = {
    "contactId": 5,
    "contact_id": "c-5",
    "identifiers": {"email": "ann@example.com"},
    "email_address": {"address": "ann@example.com", "permission_to_send": "unsubscribed"},
    "email": "ann@example.com",
}
LISTS = {
    "dotdigital members": lambda: read_parts(dotdigital_members.read_members, AUDIENCE, list),
    "Constant Contact opt-outs": lambda: read_parts(constant_contact_optouts.read_optouts, AUDIENCE, list),
    "Constant Contact opt-outs since": lambda: constant_contact_optouts.list_optouts(AUDIENCE, 0.0, list),
    "Constant Contact ids": lambda: constant_contact_removals.find_on_pages(AUDIENCE, {"bob@example.com"}, list),
    "Omnisend members": lambda: read_parts(omnisend_members.read_members, AUDIENCE, list),
}


def answer(request):
    """Return one person, and this page as the next one."""
    path = request.url.removeprefix("https://api.example.com")
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    page = {
        "_items": [CONTACT],
        "contacts": [CONTACT],
        "_links": {"next": {"marker": "m", "href": f"{path}?{query}" if query else path}},
        "paging": {"cursors": {"after": "m"}, "hasMore": True},
    }
    return Response(200, {}, json.dumps(page).encode(), request.url)


@pytest.mark.parametrize("name", LISTS)
def test_a_page_that_is_its_own_next_page_stops_the_run(name):
    """The pages after it are not known, and may hold members or opt-outs."""
    with pytest.raises(SegexportError, match=r"circle|ends before its last page"):
        run_operation(LISTS[name](), answer)
