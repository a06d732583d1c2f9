"""A read of one person whose address the vendor does not accept: no contact can have it, so it is in no audience."""

from __future__ import annotations

import json

import pytest
from core.factories import batch_of

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.model import Audience, Reason, Response
from airflow_provider_segexport.vendors.campaign_monitor.removals import remove
from airflow_provider_segexport.vendors.dotdigital.removals import resolve_ids
from airflow_provider_segexport.vendors.operations import run_operation
from airflow_provider_segexport.vendors.registry import VENDORS

TARGET = Audience(base_url="https://v.test", account="1", account_name="Shop", audience="7")
UNACCEPTED = {
    "dotdigital": {"errorCode": "contacts:invalidId", "description": "The id value is invalid"},
    "campaign_monitor": {"Code": 1, "Message": "Invalid Email Address"},
}
OTHER = {
    "dotdigital": {"errorCode": "contacts:badRequest", "description": ""},
    "campaign_monitor": {"Code": 5, "Message": ""},
}


def answering(body):
    return lambda request: Response(400, {"content-type": "application/json"}, json.dumps(body).encode(), request.url)


@pytest.mark.parametrize("vendor", UNACCEPTED)
def test_record_of_an_unaccepted_address(vendor):
    """The person is not a member; any other rejection of the read is an error."""
    read_record = VENDORS[vendor].verification.read_record
    record = run_operation(read_record(TARGET, "ann@example.com"), answering(UNACCEPTED[vendor]))
    assert record.is_member is False
    with pytest.raises(SegexportError):
        run_operation(read_record(TARGET, "ann@example.com"), answering(OTHER[vendor]))


def test_removal_of_an_unaccepted_address():
    """There is no id to remove at dotdigital, and no person in the list at Campaign Monitor."""
    members = []
    run_operation(
        resolve_ids(TARGET, ["ann@example.com"], members.extend),
        answering(UNACCEPTED["dotdigital"]),
    )
    assert members == []
    (rejection,) = run_operation(remove(TARGET, batch_of(1)), answering(UNACCEPTED["campaign_monitor"])).rejected
    assert rejection.reason is Reason.NOT_IN_AUDIENCE
