"""One writer an audience: who holds it, until when, and how a process that slept finds out."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections import Counter

import pytest
from core.racing import take_leases
from upath import UPath

from airflow_provider_segexport.errors import AudienceLocked, RetryableError, Superseded
from airflow_provider_segexport.storage import lease as leases
from airflow_provider_segexport.storage import lease_files
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.lease_files import SKEW_S, TTL_S, Times, holder, newest

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
OWNER, OTHER = "sync/export/run 1/-1", "backfill/export/run 7/3"


class Audience:
    """An audience's place, and a clock that only sleeping moves."""

    def __init__(self, path):
        self.path = path
        self.now = NOW
        self.ended = set()
        self.deleted = set()
        self.taken = []

    def lease(self, owner=OWNER, **options):
        alive = lambda owner: False if owner in self.ended else None  # noqa: E731
        gone = lambda owner, airflow: airflow == "ours" and owner in self.deleted  # noqa: E731
        lease = Lease(
            self.path,
            owner,
            clock=lambda: self.now,
            sleep=self.sleep,
            is_task_running=alive,
            is_holder_gone=gone,
            **options,
        )
        self.taken.append(lease)
        return lease

    def sleep(self, seconds):
        self.now += seconds

    @property
    def files(self):
        return sorted(path.name for path in (self.path / "lease").iterdir())


@pytest.fixture(params=["disk", "objects"])
def audience(request, tmp_path):
    path = tmp_path / "ledger" if request.param == "disk" else UPath(f"memory://{request.node.originalname}/ledger")
    harness = Audience(path)
    yield harness
    for lease in harness.taken:
        lease.release()
    if request.param == "objects":
        path.fs.store.clear()


def test_a_second_run_s_error_names_the_writer_and_the_time(audience):
    """The message names the holder and the time, and says that nothing is wrong."""
    audience.lease().acquire()
    with pytest.raises(
        AudienceLocked, match=r"sync/export/run 1/-1, which holds it until 2026-01-01 00:02:00"
    ) as raised:
        audience.lease(OTHER).acquire()
    assert [OWNER, TTL_S + SKEW_S] == [raised.value.holder, raised.value.retry_after_s]


def test_what_was_given_back_is_free(audience):
    """The next run takes it at once, under a higher number."""
    first, second = audience.lease(), audience.lease(OTHER)
    first.acquire()
    first.release()
    second.acquire()
    assert [1, 2, ["00000002.json"]] == [first.number, second.number, audience.files]


def test_a_holder_that_says_nothing_more_loses_it(audience):
    """A killed run holds its audience for two minutes, and what clocks may be apart."""
    audience.lease().acquire()
    other = audience.lease(OTHER)
    audience.now += TTL_S + SKEW_S - 1
    with pytest.raises(AudienceLocked):
        other.acquire()
    audience.now += 1
    other.acquire()


def test_a_holder_that_is_known_to_have_ended_loses_it_at_once(audience, caplog):
    """If Airflow says that the task is over, no run waits for a dead run's time."""
    audience.lease().acquire()
    audience.ended.add(OWNER)
    audience.lease(OTHER).acquire()
    assert f"(owner={OWNER})" in caplog.text


def test_the_same_owner_comes_in_again_at_once(audience):
    """A retry need not wait for its first try's time; the first try, should it still run, stops."""
    first, retry = audience.lease(), audience.lease()
    first.acquire()
    retry.acquire()
    retry.check()
    audience.now += TTL_S / 2
    with pytest.raises(RetryableError, match="taken over by another attempt of this task"):
        first.check()


def test_a_process_that_slept_past_its_time_stops(audience):
    """Another run has written since, and may have released the audience: nothing more is sent."""
    sleeper, other = audience.lease(), audience.lease(OTHER)
    sleeper.acquire()
    audience.now += 3600
    other.acquire()
    for _ in range(2):
        with pytest.raises(RetryableError, match=f"taken over by {OTHER}"):
            sleeper.check()
    other.release()
    with pytest.raises(RetryableError, match=f"taken over by {OTHER}"):
        sleeper.renew()
    sleeper.release()
    assert None is holder(audience.path, audience.now)
    assert OTHER == newest(audience.path / "lease")[1].owner


def test_a_process_that_slept_and_was_not_missed_goes_on(audience):
    """No other run wanted the audience: it is acquired again under the next number."""
    lease = audience.lease()
    lease.acquire()
    audience.now += 3600
    lease.check()
    assert 2 == lease.number
    with pytest.raises(AudienceLocked):
        audience.lease(OTHER).acquire()


def test_a_check_is_one_listing(audience, monkeypatch):
    """Thousands of calls ask: each costs one request to the store, and nothing is read or written."""
    lease = audience.lease()
    lease.acquire()
    looks = []
    plain = lease_files.listing
    with monkeypatch.context() as patch:
        patch.setattr(lease_files, "listing", lambda path: looks.append(path) or plain(path))
        patch.setattr(lease_files, "read_file", None)
        patch.setattr(leases, "write", None)
        for _ in range(100):
            lease.check()
    assert len(looks) == 100


def test_a_run_that_goes_on_keeps_it(audience):
    """For hours, when it checks or its thread beats."""
    lease = audience.lease()
    lease.acquire()
    for number in range(200):
        audience.now += TTL_S / 2
        lease.check() if number % 2 else lease.heartbeat()
        with pytest.raises(AudienceLocked):
            audience.lease(OTHER).acquire()
    assert 1 == lease.number


def test_a_thread_renews_it(audience, monkeypatch):
    """A long call to the vendor, or a plan of a million rows, asks for nothing."""

    class Beats(threading.Event):
        """Waits are handed out one by one; the clock moves with them."""

        def wait(self, timeout=None):
            if self.is_set() or len(beats) == 30:
                finished.set()
                return True
            beats.append(timeout)
            audience.now += timeout
            return False

    beats, finished = [], threading.Event()
    lease = audience.lease()
    monkeypatch.setattr(leases, "Event", Beats)
    lease.acquire()
    assert finished.wait(30)
    assert [TTL_S / 12] * 30 == beats
    assert 1 == lease.number
    with pytest.raises(AudienceLocked):
        audience.lease(OTHER).acquire()


def test_who_was_superseded_learns_it_from_a_beat(audience):
    """Long before its own time is out: a run that was taken for dead and is not stops within seconds."""
    lease = audience.lease()
    lease.acquire()
    audience.ended.add(OWNER)
    audience.lease(OTHER).acquire()
    lease.heartbeat()
    with pytest.raises(RetryableError, match=f"taken over by {OTHER}"):
        lease.check()


def test_a_superseded_run_finds_out_at_its_next_call(audience):
    """The store is asked, and not memory: there is no moment in which two runs send."""
    lease = audience.lease()
    lease.acquire()
    lease.check()
    audience.ended.add(OWNER)
    audience.lease(OTHER).acquire()
    with pytest.raises(Superseded, match=f"taken over by {OTHER}"):
        lease.check()


@pytest.mark.parametrize(("wall", "monotonic"), [(3600, 0), (0, 3600), (-86_400, 3600), (3600, 3600), (86_400, 0)])
def test_a_lease_has_run_out_when_one_clock_says_so(audience, wall, monotonic):
    """A suspended process, a sleeping machine, a changed clock: the lease is acquired again before a call leaves."""
    passed = [0.0]
    lease = Lease(audience.path, OWNER, clock=lambda: audience.now, sleep=audience.sleep, monotonic=lambda: passed[0])
    audience.taken.append(lease)
    lease.acquire()
    audience.now += wall
    passed[0] += monotonic
    lease.check()
    assert 2 == lease.number


def test_a_takeover_waits_until_the_last_holder_has_stopped(audience):
    """Or for as long as its last call may take."""
    first, second = audience.lease(), audience.lease(OTHER)
    first.acquire()
    audience.ended.add(OWNER)
    second.acquire()
    assert second.unclean
    before = audience.now
    assert not second.wait_for_stop(first.writer_token, 130)
    assert audience.now == before + 130
    first.release()
    before = audience.now
    assert second.wait_for_stop(first.writer_token, 130)
    assert audience.now == before
    second.release()
    third = audience.lease()
    third.acquire()
    assert third.unclean  # the second one has not waited for the first one's last call, as `release` does not
    third.unclean = False
    third.release()
    fourth = audience.lease()
    fourth.acquire()
    assert not fourth.unclean


def test_a_run_that_waits_for_the_vendor_keeps_its_audience(audience):
    """It has given its place back, and says what it waits for; when it comes again, it is let in."""
    lease = audience.lease()
    lease.acquire()
    lease.hold_until(NOW + 9000, "waits for 3 jobs at the vendor")
    with pytest.raises(RetryableError, match="not held"):
        lease.check()
    audience.now += 8000
    with pytest.raises(AudienceLocked, match=r"\(waits for 3 jobs at the vendor\).*until 2026-01-01 02:30:00"):
        audience.lease(OTHER).acquire()
    audience.lease().acquire()
    assert [OWNER, ""] == [(held := holder(audience.path, audience.now)).owner, held.reason]


def test_a_run_that_never_comes_again_loses_it(audience):
    """After the time it left for."""
    lease = audience.lease()
    lease.acquire()
    lease.hold_until(NOW + 9000, "waits")
    audience.now += 9000 + SKEW_S
    audience.lease(OTHER).acquire()


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


def test_a_lease_that_cannot_be_reached_is_kept_until_its_time(audience, monkeypatch, caplog):
    """A store that is away for a minute holds calls back; one that is away longer ends the run."""
    lease = audience.lease()
    lease.acquire()
    plain, away_until = lease_files.listing, NOW + 60

    def away(path):
        if audience.now < away_until:
            raise OSError(5, "Input/output error")
        return plain(path)

    monkeypatch.setattr(lease_files, "listing", away)
    lease.check()
    assert audience.now == away_until
    away_until = NOW + 1000
    audience.now += 50
    lease.heartbeat()
    assert "Failed to renew a lease, trying again" in caplog.text
    with pytest.raises(RetryableError, match="neither renewed nor read"):
        lease.check()
    lease.release()
    assert "Failed to release a lease" in caplog.text


def test_a_renewal_that_came_too_late_is_none(audience, monkeypatch):
    """The write took longer than the time left: another run may have seen the lease expire, so it is acquired again."""
    lease = audience.lease()
    lease.acquire()
    plain = leases.write

    def slow(path, content):
        plain(path, content)
        audience.now += 30

    monkeypatch.setattr(leases, "write", slow)
    audience.now += TTL_S - 20
    lease.renew()
    assert 2 == lease.number


def test_nothing_but_the_owner_stands_in_it(audience):
    """No address of a person has a way into it."""
    lease = audience.lease()
    lease.acquire()
    with (audience.path / "lease" / "00000001.json").open("rb") as file:
        content = json.loads(file.read())
    assert {"owner", "until", "since", "reason", "token"} == set(content)


def test_of_many_threads_one_wins(tmp_path):
    """Over many rounds, in which all come at the same moment."""
    threads, rounds = 4, 50
    barrier, won = threading.Barrier(threads), []

    def race(owner):
        for number in range(rounds):
            harness = Audience(tmp_path / str(number))
            lease = harness.lease(owner)
            barrier.wait()
            try:
                lease.acquire()
            except AudienceLocked:
                continue
            won.append((number, lease))

    runners = [threading.Thread(target=race, args=(f"dag/task/run {n}/-1",)) for n in range(threads)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    for _, lease in won:
        lease.release()
    assert list(range(rounds)) == sorted(number for number, _ in won)


def test_of_many_processes_one_wins(tmp_path):
    """Nothing is shared between them but the disk."""
    processes, rounds = 3, 100
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(processes), context.Queue()
    runners = [
        context.Process(target=take_leases, args=(barrier, str(tmp_path), f"dag/task/run {n}/-1", rounds, won))
        for n in range(processes)
    ]
    for runner in runners:
        runner.start()
    winners = [won.get(timeout=60) for _ in range(rounds)]
    for runner in runners:
        runner.join(60)
    assert won.empty()
    assert Counter(range(rounds)) == Counter(number for number, _ in winners)


@pytest.mark.parametrize("errno", [1, 95])
def test_a_disk_without_hard_links_will_do(tmp_path, monkeypatch, errno):
    """Some network disks and memory sticks know none: the file is made under its name, if there is none."""

    def refuse(source, target):
        raise OSError(errno, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    harness = Audience(tmp_path)
    lease = harness.lease()
    lease.acquire()
    with pytest.raises(AudienceLocked):
        harness.lease(OTHER).acquire()
    lease.release()


@pytest.mark.parametrize(("airflow", "free"), [("ours", True), ("theirs", False), ("", False)])
def test_a_holder_whose_run_was_deleted_while_it_waited_is_taken_over(audience, airflow, free):
    """Its own Airflow says that the run is gone; another Airflow cannot know, so its time is awaited."""
    lease = audience.lease()
    lease.acquire()
    lease.hold_until(NOW + 86_400, "it waits for jobs at the vendor", airflow)
    other = audience.lease(OTHER)
    with pytest.raises(AudienceLocked):
        other.acquire()
    audience.deleted.add(OWNER)
    if free:
        other.acquire()
        assert newest(audience.path / "lease")[1].owner == OTHER
    else:
        with pytest.raises(AudienceLocked):
            other.acquire()


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
    assert f"Waiting whether a lease with an impossible end is renewed (path={audience.path}" in caplog.text
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


def test_how_long_a_lease_lasts_is_the_callers_to_say(audience):
    """A worker on a slow store may want longer, and a test seconds."""
    audience.lease(times=Times(ttl_s=3, skew_s=1)).acquire()
    audience.now += 3.5
    with pytest.raises(AudienceLocked):
        audience.lease(OTHER, times=Times(ttl_s=3, skew_s=1)).acquire()
    audience.now += 0.5
    audience.lease(OTHER, times=Times(ttl_s=3, skew_s=1)).acquire()
