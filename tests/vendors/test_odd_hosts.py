"""URLs in a vendor's replies that lead elsewhere: no call leaves the server that the connection names.

A full life of an audience is played at each vendor while every URL and every path in a reply is replaced, and while
replies redirect.
"""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse
from urllib3.util import parse_url
from vendors.lifecycle import PHASES, Life

from airflow_provider_segexport import errors
from airflow_provider_segexport.simulator import Simulator

EVIL = "evil.test"
SAMPLE = 12
"""URLs that are tried at each vendor, of about a hundred."""


def odd_urls(good: str) -> list[str]:
    """URLs with another host than `good` (host and port), or with one that a parser may read as another."""
    host, _, port = good.partition(":")
    joined = [
        f"{first}{between}{second}"
        for first, second in ((good, EVIL), (EVIL, good))
        for between in ("@", ":x@", "\\", "\\@", "#@", "?@", "%40", "%2f@", "\t.", "\n.", " ", ";@", "%00.")
    ]
    hosts = [
        *(EVIL, f"{EVIL}:{port}", f"{host}:1", f"{host}.:{port}", f"{host}:{port}.{EVIL}", f"{host}.{EVIL}:{port}"),
        *("[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1", "xn--evil-test.test", "\u0435vil.test"),
        *(f"user:password@{EVIL}", f"{good}@{EVIL}", "EVIL.TEST", "evil%2etest", "evil\u3002test", f"{host}:0{port}"),
        *joined,
    ]
    schemes = ("http://", "https://", "//", "HTTP://", "http:\\\\", "http:/")
    urls = [f"{scheme}{host}/v3/contacts?cursor=x" for host in hosts for scheme in schemes[:3]]
    urls += [f"{scheme}{EVIL}/x" for scheme in schemes[3:]]
    return [*urls, f"data:application/json,{{}}#{EVIL}", f"file://{EVIL}/x", f"@{EVIL}/x", f".{EVIL}/x", f":80@{EVIL}"]


class Redirecting(HTTPAdapter):
    """Sends calls to one server alone. Puts an odd URL in place of each URL or path of a reply, or redirects to it."""

    def __init__(self, url: str, good: str, *, redirects: bool) -> None:
        super().__init__()
        self.url, self.good, self.redirects = url, good, redirects
        self.elsewhere: list[str] = []
        self.replaced = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        leads = parse_url(str(request.url))
        if f"{leads.host}:{leads.port}" != self.good:
            self.elsewhere.append(str(request.url))
            raise requests.ConnectionError
        response = super().send(request, *args, **options)
        body = response.raw.read(decode_content=True)
        response.raw.release_conn()
        headers = {"content-type": "application/json"}
        if self.redirects:
            headers["location"] = self.url
            response.status_code = 302
            self.replaced += 1
        response.raw = HTTPResponse(
            io.BytesIO(self._changed(body)), headers=headers, status=response.status_code, preload_content=False
        )
        response.headers.update(headers)
        return response

    def _changed(self, body: bytes) -> bytes:
        try:
            return json.dumps(self._replaced(json.loads(body))).encode()
        except ValueError:
            return body

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._replaced(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._replaced(inner) for inner in value]
        if isinstance(value, str) and (value.startswith("/") or "://" in value):
            self.replaced += 1
            return self.url
        return value


@pytest.mark.parametrize("redirects", [False, True], ids=["links", "redirects"])
def test_no_call_leaves_the_server_of_the_connection(
    sim: Simulator, vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, redirects: bool
):
    """Each run ends well, or with an error of ours; neither a credential nor a person goes to another server."""
    life = Life(sim, vendor, tmp_path)
    leads = parse_url(str(life.account.described["base_url"]))
    good = f"{leads.host}:{leads.port}"
    urls = odd_urls(good)
    phase, replaced = PHASES[0], 0
    life.keep(phase.name)
    for url in random.Random(vendor).sample(urls, SAMPLE):
        life.back(phase.name)
        adapter = Redirecting(url, good, redirects=redirects)
        monkeypatch.setattr("vendors.lifecycle.Tapped", lambda _, adapter=adapter: adapter)
        outcome = life.play(phase)
        assert adapter.elsewhere == [], url
        if outcome.error is not None:
            assert isinstance(outcome.error, errors.SegexportError), url
            assert EVIL not in str(outcome.error), url
            assert "password" not in str(outcome.error), url
        replaced += adapter.replaced
    assert replaced or not (redirects or life.account.row.responds_with_links)
