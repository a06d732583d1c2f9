"""Hosts that credentials may be sent to: hostile URLs are made from parts that parsers read in different ways."""

from __future__ import annotations

import itertools

import pytest
from requests import PreparedRequest
from requests.exceptions import RequestException

from airflow_provider_segexport.vendors.endpoints import is_vendor_host, parse_endpoint

DOMAINS = ("vendor.test", "vendor.example")
GOOD = "api.vendor.test"
EVIL = "evil.test"


@pytest.mark.parametrize(
    "url",
    [
        "https://vendor.test",
        "https://r3-api.vendor.test/v2",
        "https://API.Vendor.Test/",
        "https://api.vendor.example:443/v2/x?next=a%2Fb@c:d",
    ],
)
def test_a_host_of_the_vendor(url):
    """The domain, or any host below it, by https."""
    assert is_vendor_host(url, DOMAINS)


BETWEEN = [
    "@",
    "#",
    "?",
    "\\",
    "/",
    "\t",
    "\n",
    " ",
    ";",
    "%23",
    "%40",
    "%2f",
    "\x00",
    "\\@",
    "#@",
    "?@",
    ":443@",
    ":x@",
    "/@",
    "&",
]
BEFORE = [
    "https://",
    "https:/",
    "https:",
    "//",
    "https:///",
    "https:\\\\",
    "http://",
    "ftp://",
    "HTTPS://",
    " https://",
    "https://@",
]


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("before", BEFORE)
def test_no_url_of_two_hosts_leads_elsewhere(before, between):
    """Whatever is taken leads to a vendor's host in the HTTP library, too."""
    for first, second in itertools.permutations((GOOD, EVIL)):
        for url in (f"{before}{first}{between}{second}", f"{before}{first}{between}.{second}/path"):
            if is_vendor_host(url, DOMAINS):
                prepared = PreparedRequest()
                prepared.prepare_url(url, None)
                assert prepared.url.lower().startswith(f"https://{GOOD}"), url
                assert prepared.url[len(f"https://{GOOD}") :][:1] in {"", "/", "?"}, url


@pytest.mark.parametrize(
    "url",
    [
        "https://api@evil.test#.vendor.test",
        "https://api.evil.test?.vendor.test",
        "https://evil.test\\.vendor.test",
        "https://evil.test\t.vendor.test",
        "https://evilvendor.test",
        "https://vendor.test.evil.test",
        "https://vendor.test.",
        "https://.vendor.test",
        "https://a..vendor.test",
        "https://-.vendor.test",
        "https://vendor.test:444",
        "https://vendor.test:0",
        "https://vendor.test:99999",
        "https://vendor.test:",
        "https://user@vendor.test",
        "https://user:pass@vendor.test",
        "http://vendor.test",
        "https://vend%6Fr.test",
        "https://%76endor.test",
        "https://vend\u043er.test",
        "https://vendor\u3002test",
        "https://\uff56endor.test",
        "https://vendor\u2024test",
        "https://[::1].vendor.test",
        "https://[::1]",
        "https://[vendor.test]",
        "https://0x7f000001",
        "https://2130706433",
        "https://vendor.test/\u202e",
        "https://vendor.test\n",
        "\ufeffhttps://vendor.test",
        "",
    ],
)
def test_a_url_that_is_refused(url):
    """User info, odd hosts, other ports and schemes, and names that only look alike."""
    assert not is_vendor_host(url, DOMAINS)


def test_a_taken_url_is_read_alike_by_the_library():
    """The host that was compared is the host that the HTTP library calls."""
    alphabet = ["a", ".", "@", "#", "?", "/", "\\", ":", "[", "]", "%", "vendor.test", "1", " "]
    for parts in itertools.product(alphabet, repeat=3):
        url = "https://" + "".join(parts)
        leads = parse_endpoint(url)
        if leads is None:
            continue
        prepared = PreparedRequest()
        try:
            prepared.prepare_url(url, None)
        except RequestException:
            continue
        assert prepared.url.split("/")[2].split("?")[0].split(":")[0] == leads.host, url


def test_a_base_url_of_an_administrator():
    """Its own server passes, and no other port or scheme of it."""
    own = "http://127.0.0.1:8100/dotdigital"
    assert is_vendor_host("http://127.0.0.1:8100/other", DOMAINS, own)
    assert not is_vendor_host("http://127.0.0.1:8101/dotdigital", DOMAINS, own)
    assert not is_vendor_host("https://127.0.0.1:8100/dotdigital", DOMAINS, own)
    assert not is_vendor_host("http://127.0.0.1:8100@evil.test/", DOMAINS, own)
    assert is_vendor_host("http://[::1]:8100/x", DOMAINS, "http://[::1]:8100")
