"""Bad input stops an export with a clear sentence, before the first batch is sent and without a person in it."""

from __future__ import annotations

import socket
import threading

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import (
    FatalError,
    InvalidConnection,
    InvalidFieldMapping,
    InvalidSegment,
    VendorUnavailable,
)
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.vendors.auth import ApiEndpoint


@pytest.fixture
def account(sim, tmp_path):
    return VendorHarness(sim, "campaign_monitor", tmp_path)


def stops(account, kind, message, columns, **options):
    """The export stops with these words, and the vendor has not seen a batch."""
    with pytest.raises(kind, match=message) as caught:
        account.export(account.segment(columns), **options)
    assert isinstance(caught.value, FatalError)
    assert account.upserts() == []
    assert not list(account.home.glob("runs/run/*/plan.json"))


def test_a_segment_without_rows(account):
    """An empty segment is more often a mistake upstream than the truth."""
    stops(account, InvalidSegment, "has no rows", {"email": [], "x": []})


def test_more_profiles_than_the_cap(account):
    """The error states both numbers, and how to fix it."""
    message = r"has 5 profiles, more than `max_profiles` \(4\)\. To fix: split the segment, or raise `max_profiles`"
    stops(account, InvalidSegment, message, {"email": people(5)}, max_profiles=4)


def test_not_one_profile_can_be_sent(account):
    """A column that holds no addresses is a mistake in field mapping, more likely than people without any."""
    columns = {"email": ["Jane Secret", "", None], "mail": people(3)}
    message = r"None of 3 profiles can be sent: .*'invalid_email': 1.*'no_email': 2.*check that column 'email', mapped"
    stops(account, InvalidSegment, message, columns)


@pytest.mark.parametrize("value", ["x" * 300, float("inf"), 1e300])
def test_not_one_profile_can_be_sent_for_a_value(account, value):
    """The addresses are in order, so the error names the other columns."""
    message = r"None of 2 profiles can be sent: \{'(invalid_value|value_too_long)': 2\}\. To fix: .*columns \('tier'\)"
    columns = {"email": people(2), "tier": [value] * 2}
    stops(account, InvalidSegment, message, columns, custom_fields={"Tier": "tier"}, create_custom_fields=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"field_mapping": {"first_name": "name"}}, "has no column 'name', which the export maps"),
        ({"custom_fields": {"Tier": "tier"}}, "has no column 'tier', which the export maps"),
    ],
)
def test_a_column_that_is_not_there(account, options, message):
    """The error lists what there is."""
    stops(
        account,
        InvalidSegment,
        rf"{message}\. Its columns: 'email', 'city'",
        {"email": people(1), "city": ["York"]},
        **options,
    )


def test_a_field_that_the_audience_lacks(account):
    """It is named with the two ways out."""
    message = "Campaign Monitor has no field 'Shop' for list 'Customers'. To fix: create the field at the vendor"
    stops(account, InvalidFieldMapping, message, {"email": people(1), "city": ["York"]}, custom_fields={"Shop": "city"})


def test_a_column_that_the_vendor_s_field_cannot_hold(account):
    """A date field is not fed from numbers."""
    columns = {"email": people(1), "n": [5]}
    stops(
        account,
        InvalidFieldMapping,
        "'n' is integer, and the vendor's field 'Birthdate' holds a date",
        columns,
        custom_fields={"Birthdate": "n"},
    )


def elsewhere(account, base):
    """The same export through another base URL."""
    environment = account.environment(patience=RetryLimits(attempts=1))
    segment = account.segment({"email": people(1)})
    try:
        Export(account.vendor, ApiEndpoint(base, is_default_url=False), account.config(segment), environment).run()
    finally:
        environment.http.close()


def test_a_base_url_without_tls_behind_it(account):
    """A TLS error is named as one, and is not tried again."""
    with pytest.raises(InvalidConnection, match=r"TLS with https://127\.0\.0\.1:\d+/.* failed.*[Cc]heck the base URL"):
        elsewhere(account, account.described["base_url"].replace("http://", "https://"))


@pytest.mark.parametrize("base", ["ftp://vendor.test", "https://exa mple.test", "https://[::", "https://"])
def test_a_bad_base_url(account, base):
    """The error says to check the base URL, whatever is there."""
    with pytest.raises(InvalidConnection, match="base URL"):
        elsewhere(account, base)


def test_a_port_without_a_server(account):
    """A vendor that cannot be reached is no mistake of the connection's: another try may do better."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(VendorUnavailable, match=f"127.0.0.1:{port}"):
        elsewhere(account, f"http://127.0.0.1:{port}")


def test_a_web_page_in_the_vendor_s_place(account):
    """A base URL that leads to a website is recognised by the response."""

    def serve():
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            page = b"<!DOCTYPE html><title>Shop</title>"
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
            connection.sendall(head.encode() + page)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(VendorUnavailable, match="text/html"):
            elsewhere(account, f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_rows_that_cannot_be_sent_do_not_stop_the_others(account):
    """Each has its reason in the report, by file and row, and in nothing else."""
    emails = [
        " P0@example.com ",
        None,
        "nobody",
        "jané@example.com",
        "o'neil@bücher.de",
        "p0@EXAMPLE.com",
        "x" * 10_000 + "@example.com",
        "p7\x00@example.com",
        "p8@example.com",
    ]
    cities = ["York", *[None] * 7, "y" * 10_000]
    segment = account.segment({"email": emails, "city": cities})
    report = account.export(segment, field_mapping={"city": "city"})
    assert report["counts"] == {
        "profiles": 9,
        "delivered": 2,
        "unchanged": 0,
        "rejected": 6,
        "withheld": 1,
        "not_attempted": 0,
    }
    assert [(row["file_row"], row["reason"]) for row in account.rejects()] == [
        (1, "no_email"),
        (2, "invalid_email"),
        (3, "non_ascii_email"),
        (5, "duplicate"),
        (6, "invalid_email"),
        (7, "invalid_email"),
        (8, "value_too_long"),
    ]
    assert sorted(account.members()) == ["o'neil@xn--bcher-kva.de", "p0@example.com"]
    assert "@" not in (account.home / "runs" / "run" / "01" / "summary.json").read_text()
