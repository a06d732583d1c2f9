"""Lease files that are half written, damaged or of another program block no run, and let only one in."""

from __future__ import annotations

import json

import pytest
from core.lease_holders import NOW, OTHER, OWNER, Audience

from airflow_provider_segexport.errors import AudienceLocked
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.lease_files import SKEW_S, TTL_S, holder, newest


def test_half_a_file_is_nobodys(audience, caplog):
    """A disk that was full, or a power failure: after a second look the next number is taken."""
    (audience.path / "lease").mkdir(parents=True, exist_ok=True)
    for content in (b"", b'{"owner": "sy', b"[]", b'{"owner": "a", "surprise": 1}'):
        number, _ = newest(audience.path / "lease")
        with (audience.path / "lease" / f"{number + 1:08d}.json").open("wb") as file:
            file.write(content)
        assert None is holder(audience.path, audience.now)
        lease = audience.lease()
        lease.acquire()
        assert number + 2 == lease.number
        lease.release()
    assert 4 == caplog.text.count("cannot be read")


def test_a_file_that_is_being_written_is_waited_for(audience, monkeypatch):
    """Where a store shows a file before all of it is there."""
    lease = audience.lease()
    lease.acquire()
    file = audience.path / "lease" / "00000001.json"
    with file.open("rb") as file_of_lease:
        content = file_of_lease.read()
    with file.open("wb") as half:
        half.write(content[:9])

    def sleep(seconds):
        with file.open("wb") as rest:
            rest.write(content)

    other = Lease(audience.path, OTHER, clock=lambda: audience.now, sleep=sleep)
    with pytest.raises(AudienceLocked):
        other.acquire()


def test_nothing_but_the_owner_stands_in_it(audience):
    """No address of a person has a way into it."""
    lease = audience.lease()
    lease.acquire()
    with (audience.path / "lease" / "00000001.json").open("rb") as file:
        content = json.loads(file.read())
    assert {"owner", "until", "since", "reason", "token"} == set(content)


def put(audience, number, content):
    """Write a lease's file as a fault, a person or another program would."""
    (audience.path / "lease").mkdir(parents=True, exist_ok=True)
    with (audience.path / "lease" / f"{number:08d}.json").open("wb") as file:
        file.write(content if isinstance(content, bytes) else json.dumps(content).encode())


THEIRS = {"owner": OTHER, "until": NOW + 100, "since": NOW, "reason": "", "token": "theirs"}
ODD = {
    "empty": b"",
    "half": b'{"owner": "sy',
    "a list": b"[]",
    "a number": b"7",
    "no UTF-8": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "text for a time": THEIRS | {"until": "tomorrow"},
    "a number as text": THEIRS | {"until": str(NOW + 100)},
    "a time that is true": THEIRS | {"until": True},
    "NaN": THEIRS | {"until": float("nan")},
    "infinite": THEIRS | {"until": float("inf")},
    "400 digits": THEIRS | {"until": 10**400},
    "1e999": json.dumps(THEIRS).replace(str(NOW + 100), "1e999").encode(),
    "null": THEIRS | {"until": None},
    "since NaN": THEIRS | {"since": float("nan")},
    "no until": {name: value for name, value in THEIRS.items() if name != "until"},
    "an owner that is a number": THEIRS | {"owner": 7},
    "no owner": THEIRS | {"owner": ""},
    "words that are a list": THEIRS | {"reason": ["x"]},
}


@pytest.mark.parametrize("odd", ODD)
def test_a_lease_in_an_unknown_form_blocks_no_run_and_lets_only_one_in(audience, odd, caplog):
    """A lease that is damaged or from another program ends after a second look; one run takes the next number."""
    put(audience, 7, ODD[odd])
    assert holder(audience.path, audience.now) is None
    first, other = audience.lease(), audience.lease("third/task/run/0")
    first.acquire()
    assert first.number == 8
    assert first.unclean
    assert audience.now <= NOW + 2
    assert "Ignoring a lease that cannot be read" in caplog.text
    with pytest.raises(AudienceLocked):
        other.acquire()


LATE = {"the year 9999": 253_402_300_799, "beyond any calendar": 1e300, "a third day": NOW + 2 * 86_400 + SKEW_S + 1}


@pytest.mark.parametrize("late", LATE)
def test_a_lease_that_ends_impossibly_late_is_taken_when_it_is_not_renewed(audience, late, caplog):
    """It is watched for as long as a lease lasts, and the log says so; of two that watch one takes it."""
    put(audience, 7, THEIRS | {"until": LATE[late]})
    first, other = audience.lease(), audience.lease("third/task/run/0")
    first.acquire()
    assert first.number == 8
    assert audience.now == NOW + TTL_S + SKEW_S
    assert f"Waiting to see if a lease with an impossible end is renewed (path={audience.path}" in caplog.text
    with pytest.raises(AudienceLocked, match=OWNER):
        other.acquire()


@pytest.mark.parametrize("late", LATE)
def test_a_holder_whose_clock_is_far_ahead_keeps_its_lease_while_it_renews_it(audience, late):
    """The other run's error says how long it waits, as a readable duration."""
    put(audience, 7, THEIRS | {"until": LATE[late]})

    def renewed(seconds):
        audience.now += seconds
        put(audience, 7, THEIRS | {"until": LATE[late] * 1.0001})

    lease = Lease(audience.path, OWNER, clock=lambda: audience.now, sleep=renewed)
    with pytest.raises(AudienceLocked, match=f"being written by {OTHER}, which holds it until ") as raised:
        lease.acquire()
    assert raised.value.retry_after_s == TTL_S + SKEW_S


def test_airflow_knows_better_than_a_lease_that_ends_impossibly_late(audience):
    """A holder that runs keeps it, one that has ended loses it, and nothing is waited for."""
    put(audience, 7, THEIRS | {"until": 1e12})
    lives = Lease(
        audience.path, OWNER, clock=lambda: audience.now, sleep=audience.sleep, is_task_running=lambda _: True
    )
    with pytest.raises(AudienceLocked):
        lives.acquire()
    audience.ended.add(OTHER)
    audience.lease().acquire()
    assert audience.now == NOW


@pytest.mark.parametrize("until", [-1.0, -1e300, 1.0])
def test_a_lease_that_ended_before_anything_is_taken_at_once(audience, until):
    """Its holder's calls may still be under way, so it is no lease that was given back."""
    put(audience, 7, THEIRS | {"until": until})
    lease = audience.lease()
    lease.acquire()
    assert (lease.number, lease.unclean, audience.now) == (8, True, NOW)


def test_a_lease_of_a_newer_version_is_heeded(audience):
    """Keys that that version adds are ignored."""
    put(audience, 7, THEIRS | {"room": "b", "format": 3})
    with pytest.raises(AudienceLocked, match=OTHER):
        audience.lease().acquire()
    audience.now += 100 + SKEW_S
    audience.lease().acquire()


def test_a_folder_in_the_place_of_a_lease_blocks_no_run(tmp_path):
    """It is passed over, as a file that cannot be read."""
    harness = Audience(tmp_path)
    (tmp_path / "lease" / "00000007.json").mkdir(parents=True)
    lease = harness.lease()
    lease.acquire()
    assert lease.number == 8
    lease.release()
