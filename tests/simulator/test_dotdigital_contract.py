"""dotdigital: the specifications are there, and the simulator covers what it says it covers."""

from __future__ import annotations

import jsonschema
import pytest
from simulator.specifications import SPECS, check_exchange, operation_of, operations

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="the published specifications are not beside this checkout")

# Documented routes that the simulator leaves out; its README says so too.
LEFT_OUT = {
    ("POST", "/v2/accounts/empty-recycle-bin/"),
    ("GET", "/v2/address-books/{id}/campaigns"),
    ("POST", "/v2/address-books/{id}/contacts"),
    ("POST", "/v2/address-books/{id}/contacts/import/with-merge-option/{mergeOption}"),
    ("GET", "/v2/address-books/{id}/contacts/modified-since/{date}"),
    ("GET", "/v2/address-books/{addressBookId}/contacts/with-preference/{preferenceId}"),
    ("GET", "/v2/address-books/{addressBookId}/contacts/with-preference/{preferenceId}/opt-ins-since/{date}"),
}


def test_every_documented_route_exists_or_is_known_to_be_left_out(sim, dd):
    """Each operation of the four specifications is matched by a route."""
    table = sim._vendors["dotdigital"].table
    missing = {
        (method, template)
        for method, template, _, _ in operations()
        if table.find(method, template.replace("{", "").replace("}", "")) is None
    }
    assert missing == LEFT_OUT


def test_the_tests_client_checks_against_the_specification(dd):
    """A reply that breaks its schema does not pass the check that all these tests use."""
    assert dd.check is check_exchange
    operation, document = operation_of("GET", "/contacts/v3/import/1")
    assert operation["operationId"] == "getImportStatus"
    reply = dd("GET", "/contacts/v3/import/00000000-0000-4000-8000-000000000000")
    reply._content = b'{"errorCode": 1}'
    with pytest.raises(jsonschema.ValidationError):
        check_exchange("GET", "/contacts/v3/import/1", None, reply)
    assert document["info"]["title"] == "Contacts"
