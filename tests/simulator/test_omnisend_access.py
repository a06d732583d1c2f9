"""Omnisend: who may come in, with which key and version, and how many calls a minute."""

from __future__ import annotations

import pytest
import requests
from simulator.omnisend_client import Omnisend, check_reply, person

MINUTE = 60


def test_the_brand(om):
    """A key opens one brand, whose id is the key's first part."""
    brand = om("GET", "/brands/current").json()
    assert brand["name"] == "Example Shop"
    assert om.described["credentials"]["api_key"].startswith(brand["brandID"] + "-")


def test_a_key_of_another_store(sim, om):
    """The key of another store works, names that store, and writes there."""
    other = Omnisend(sim, "other_store")
    assert other("GET", "/brands/current").json()["name"] == "Other Shop"
    other("POST", "/contacts", person("ada@example.com"))
    assert om.people() == {}
    assert om.people("other-store").keys() == {"ada@example.com"}


@pytest.mark.parametrize("header", [None, "Omnisend-API-Key x-y", "Bearer token", "x"])
def test_wrong_keys(om, header):
    """No key, a strange one and another scheme answer 401."""
    headers = {"Omnisend-Version": "2026-03-15", **({"Authorization": header} if header else {})}
    reply = requests.get(f"{om.api}/brands/current", headers=headers, timeout=10)
    check_reply(reply)
    assert reply.status_code == 401


@pytest.mark.parametrize(
    ("version", "status"),
    [(None, 400), ("latest", 400), ("2025-01-01", 410), ("2026-03-14", 410), ("2026-03-15", 200), ("2026-09-01", 200)],
)
def test_versions(om, version, status):
    """The version is required; an older one is retired, a later date means the newest."""
    om.session.headers["Omnisend-Version"] = version
    assert om("GET", "/brands/current").status_code == status


def test_a_key_that_may_only_read(sim, om):
    """A key without contacts.write reads, and is refused its first write."""
    reader = Omnisend(sim, "read_only")
    assert reader("GET", "/contacts?limit=1").status_code == 200
    assert reader.start("ada@example.com").status_code == 403
    sim.configure({"omnisend": {"permissions": ["brands.read"]}})
    assert om("GET", "/contacts?limit=1").status_code == 403


def test_four_hundred_calls_a_minute(sim, om):
    """The brand's window slides; what others use counts; the answer says how long to wait."""
    assert om("GET", "/contacts?limit=1").status_code == 200
    sim.clock.advance(30)
    assert om.act("spend", calls=398) == 1
    assert om("GET", "/contacts?limit=1").status_code == 200
    limited = om("GET", "/contacts?limit=1")
    assert (limited.status_code, limited.json()["retryAfter"]) == (429, 30)
    assert "retryAfter" not in om("GET", "/batches?endpoint=contacts").json()
    sim.clock.advance(30)
    assert om("GET", "/contacts?limit=1").status_code == 200
    assert om("GET", "/contacts?limit=1").status_code == 429


def test_others_may_use_the_brand_all_the_time(sim, om):
    """A steady use by others leaves less for us."""
    sim.configure({"omnisend": {"others_per_minute": 398}})
    assert [om("GET", "/brands/current").status_code for _ in range(3)] == [200, 200, 429]


def test_sixty_tag_calls_a_minute(sim, om):
    """The 61st tag call within a minute is refused, other calls are not."""
    body = {"emails": ["ada@example.com"], "tags": ["a"]}
    assert {om("POST", "/contacts/tags", body).status_code for _ in range(60)} == {202}
    assert om("DELETE", "/contacts/tags", body).status_code == 429
    assert om("GET", "/contacts?limit=1").status_code == 200
    sim.clock.advance(MINUTE)
    assert om("DELETE", "/contacts/tags", body).status_code == 202


def test_unknown_paths_are_404(om):
    """A path that does not exist answers 404 as a problem."""
    assert om("GET", "/lists").status_code == 404
    assert om("DELETE", "/contacts/000000000000000000000000").status_code == 404
