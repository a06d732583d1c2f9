"""Calls stay under an account's quotas: of one pool, of several, of what the vendor says, over processes."""

from __future__ import annotations

import secrets
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import requests_mock
from core.factories import PLAIN
from pyrate_limiter.utils import enforce_rate_list
from quota_stores import STORES, forget, quota_store

from airflow_provider_segexport.errors import InvalidConnection, RateLimited, RetryableError, SegexportError
from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.model import Rate, RemainingQuota, Request, Response
from airflow_provider_segexport.ratelimit.backends import account_key, open_store
from airflow_provider_segexport.ratelimit.clocks import clock_offset
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.ratelimit.windows import Priority, sliding_rates
from airflow_provider_segexport.vendors.registry import VENDORS

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
LONGER = 1 / 0.97
"""How much longer than the vendor's a window of ours is."""

NAME = f"account-{secrets.token_hex(4)}"
"""Servers are shared with other test runs."""

READ = Request("GET", "https://plain.test/people")
TAG = Request("POST", "https://plain.test/people/tags", rate_scope="tags")


def remaining_quota(response, now):
    """The quota in `x-left` and `x-until`, of the pool in `x-scope`."""
    if "x-left" not in response.headers:
        return None
    headers = response.headers
    return RemainingQuota(int(headers["x-left"]), float(headers["x-until"]), headers.get("x-scope", ""))


def vendor_of(*rates, connections=1, **pools):
    pools = {name: (rate,) for name, rate in pools.items()}
    limits = replace(PLAIN.limits, rates=rates, scoped_rates=pools, max_concurrency=connections)
    return replace(PLAIN, limits=limits, remaining_quota=remaining_quota)


class Account:
    """An account whose tasks share a folder, and a clock that only sleeping moves."""

    def __init__(self, store, vendor):
        self.store, self.vendor = store, vendor
        self.now = NOW
        self.opened = []

    def task(self, *, longest_s=1e9, gate=lambda: None, backfill=False):
        store = open_store(self.store, NAME, self.vendor.limits, backfill=backfill)
        settings = {"max_wait_s": longest_s, "backfill": backfill, "raise_if_stopped": gate}
        pace = RateLimiter(self.vendor, store, sleep=self.sleep, clock=lambda: self.now, **settings)
        self.opened.append(pace)
        return pace

    def sleep(self, seconds):
        self.now += seconds

    def leave(self, task, request=READ, calls=1):
        """When so many calls went out, in seconds since the beginning."""
        times = []
        for _ in range(calls):
            task(request)
            times.append(self.now - NOW)
        return times


def accounts(store):
    """Makes accounts whose calls are counted in a store, and forgets them afterwards."""
    made = []

    def make(*rates, **pools):
        made.append(Account(store, vendor_of(*rates, **pools)))
        return made[-1]

    yield make
    for opened_account in made:
        for pace in opened_account.opened:
            pace.close()
    if made:
        forget(store, NAME)


@pytest.fixture(params=STORES)
def account(request, tmp_path):
    yield from accounts(quota_store(request.param, tmp_path / "quotas"))


@pytest.fixture
def filed(tmp_path):
    yield from accounts(str(tmp_path / "quotas"))


def answer(status=200, **headers):
    return Response(status, {name.replace("_", "-"): str(value) for name, value in headers.items()}, b"{}", READ.url)


def test_calls_go_out_at_once_while_there_is_room_and_then_wait_for_the_window(account):
    """No window of the vendor's length ever holds more than it takes, with three per cent to spare."""
    fake_account = account(Rate(3, 60))
    times = fake_account.leave(fake_account.task(), calls=8)
    assert times[:3] == [0, 0, 0]
    assert times[3:6] == [pytest.approx(60 * LONGER, abs=0.01)] * 3
    assert times[6:] == [pytest.approx(120 * LONGER, abs=0.01)] * 2


def test_a_window_that_takes_many_calls_is_used_in_parts(account):
    """Other programs that use the account find room at any time, and no wait is longer than a quarter of it."""
    fake_account = account(Rate(400, 60))
    times = fake_account.leave(fake_account.task(longest_s=16), calls=1200)
    for at in range(800):
        assert times[at + 400] - times[at] >= 60
    assert [0, 15] == [round(times[99]), round(times[100])]
    assert times[-1] == pytest.approx(11 * 15 * LONGER, abs=0.1)


def test_the_more_calls_a_window_takes_the_more_parts_it_has(account):
    """A part holds a few hundred calls at most; over the whole window the quota is kept, and used."""
    fake_account = account(Rate(1201, 60))
    times = fake_account.leave(fake_account.task(longest_s=9), calls=1500)
    assert all(times[at + 1201] - times[at] >= 60 for at in range(299))
    assert times[-1] - times[0] <= 1.05 * 60 * 1499 / 1201
    assert [0, 7.7] == [round(times[at], 1) for at in (149, 150)]


def test_tasks_of_an_account_share_its_quota(account):
    """Another task on the machine finds the window as the first one left it."""
    fake_account = account(Rate(4, 60))
    first, other = fake_account.task(), fake_account.task()
    assert fake_account.leave(first, calls=3) == [0, 0, 0]
    assert fake_account.leave(other, calls=2) == [0, pytest.approx(60 * LONGER, abs=0.01)]


def test_accounts_do_not_share():
    """An account is identified by vendor, base URL and credential, and its mark shows none of them."""
    marks = {
        account_key("omnisend", "https://a.test", "key"),
        account_key("omnisend", "https://b.test", "key"),
        account_key("omnisend", "https://a.test", "other"),
        account_key("dotdigital", "https://a.test", "key"),
    }
    assert len(marks) == 4
    assert not any("key" in mark for mark in marks)


def test_a_request_counts_for_its_own_pool_and_for_everybodys(account):
    """A narrow pool that is full holds back its own calls only; a call that waits for it takes nothing elsewhere."""
    fake_account = account(Rate(10, 60), tags=Rate(2, 60))
    task = fake_account.task(longest_s=1)
    assert fake_account.leave(task, TAG, calls=2) == [0, 0]
    for _ in range(5):
        with pytest.raises(RateLimited):
            task(TAG)
    assert fake_account.leave(task, calls=8) == [0] * 8
    with pytest.raises(RateLimited):
        task(READ)


def test_a_pool_that_the_vendor_does_not_publish_is_everybodys(account):
    """A request may name a pool that has no limit of its own."""
    fake_account = account(Rate(1, 60))
    task = fake_account.task(longest_s=1)
    task(TAG)
    with pytest.raises(RateLimited):
        task(replace(TAG, rate_scope="other"))


def test_the_narrower_of_two_rates_holds(account):
    """Four a second and ten an hour: after ten, the hour counts."""
    fake_account = account(Rate(4, 1), Rate(10, 3600))
    times = fake_account.leave(fake_account.task(), calls=11)
    assert times[9] == pytest.approx(2 * LONGER, abs=0.01)
    assert times[10] == pytest.approx(3600 * LONGER, abs=0.01)


def test_a_quota_that_resets_at_midnight_is_whole_again_then(account):
    """A day's quota is that of the day in UTC, whenever in it the calls were made."""
    fake_account = account(Rate(100, 86_400, fixed_window=True))
    fake_account.now = NOW + 80_000
    task = fake_account.task()
    times = fake_account.leave(task, calls=98)
    assert times[96] == 80_000
    assert times[97] == 86_400


def test_a_long_wait_is_the_callers_to_decide(account):
    """It may give its place back: the error says how long the wait is, until when, and of which vendor."""
    fake_account = account(Rate(1, 3600))
    task = fake_account.task(longest_s=60)
    task(READ)
    with pytest.raises(RateLimited, match=r"Plainmail.*2026-01-01 01:01:51 UTC") as raised:
        task(READ)
    assert raised.value.retry_after_s == pytest.approx(3600 * LONGER, abs=0.01)
    assert fake_account.now == NOW


def test_a_task_that_is_to_end_stops_waiting(account):
    """The gate is asked before each look, not only before the first."""
    looks = []

    def gate():
        looks.append(fake_account.now)
        if len(looks) == 3:
            raise SegexportError("told to end")

    fake_account = account(Rate(1, 60))
    task = fake_account.task(gate=gate)
    task(READ)
    with pytest.raises(SegexportError, match="told to end"):
        task(READ)
    assert len(looks) == 3


def test_a_429_holds_back_every_task_of_the_account(account):
    """Another program has used the account: no task calls again before the vendor's time."""
    fake_account = account(Rate(1000, 60))
    first, other = fake_account.task(), fake_account.task()
    first(READ)
    first.record_response(READ, answer(429, retry_after=20))
    assert fake_account.leave(other) == [20]
    assert fake_account.leave(first, calls=3) == [20, 20, 20]


def test_of_two_refusals_the_later_time_counts(account):
    """A shorter time that comes after a longer one, from a call that was on its way, does not shorten the wait."""
    fake_account = account(Rate(1000, 60))
    task = fake_account.task()
    for after in (30, 300, 20):
        task.record_response(READ, answer(429, retry_after=after))
    assert fake_account.leave(task) == [300]


def test_a_429_without_a_time_is_the_senders_to_judge(account):
    """There is nothing to keep in the book."""
    fake_account = account(Rate(1000, 60))
    task = fake_account.task()
    task.record_response(READ, answer(429))
    task.record_response(READ, answer(503, retry_after=30))
    assert fake_account.leave(task) == [0]


def test_a_429_of_a_narrow_pool_leaves_the_others_open(account):
    """Calls for tags wait; reads do not."""
    fake_account = account(Rate(1000, 60), tags=Rate(60, 60))
    task = fake_account.task()
    task.record_response(TAG, answer(429, retry_after=20))
    assert fake_account.leave(task, READ) == [0]
    assert fake_account.leave(task, TAG) == [20]


def test_what_the_vendor_says_is_left_counts_down(account):
    """No rate is published: the header is all there is, and others use the account as well."""
    fake_account = account(connections=1)
    task = fake_account.task()
    task(READ)
    task.record_response(READ, answer(x_left=3, x_until=NOW + 40))
    assert fake_account.leave(task, calls=3) == [0, 0, 0]
    task.record_response(READ, answer(x_left=5, x_until=NOW + 40))
    assert fake_account.leave(task) == [40]


def test_a_smaller_number_than_ours_is_believed(account):
    """Another system took what was left."""
    fake_account = account()
    task = fake_account.task()
    task(READ)
    task.record_response(READ, answer(x_left=50, x_until=NOW + 40))
    task(READ)
    task.record_response(READ, answer(x_left=1, x_until=NOW + 40))
    assert fake_account.leave(task, calls=2) == [0, 40]


def test_calls_on_their_way_are_not_forgotten_at_the_beginning_of_a_window(account):
    """The first answer of a window does not count what left before it arrived."""
    fake_account = account(connections=4)
    task = fake_account.task()
    fake_account.leave(task, calls=4)
    task.record_response(READ, answer(x_left=5, x_until=NOW + 40))
    for left in (4, 3, 2):
        task.record_response(READ, answer(x_left=left, x_until=NOW + 40))
    assert fake_account.leave(task, calls=3) == [0, 0, 40]


def test_the_pool_that_an_answer_names_is_learned(account):
    """Dotdigital names the tier of a call only in its response; ids in the address do not make another call of it."""
    fake_account = account()
    task = fake_account.task()
    jobs = [Request("GET", f"https://plain.test/import/{number:08x}-aaaa") for number in range(3)]
    task(jobs[0])
    task.record_response(jobs[0], answer(x_left=0, x_until=NOW + 40, x_scope="low"))
    assert fake_account.leave(task, READ) == [0]
    assert fake_account.leave(task, jobs[1]) == [40]


@pytest.mark.parametrize("name", [name for name, vendor in VENDORS.items() if vendor.remaining_quota])
def test_a_vendor_reads_what_is_left_only_where_it_is_said(name):
    """An answer without such headers, or with a word in them, says nothing."""
    assert None is VENDORS[name].remaining_quota(answer(), NOW)
    assert None is VENDORS[name].remaining_quota(answer(x_ratelimit_remaining="many", x_ratelimit_reset="soon"), NOW)


def test_dotdigital_tells_tier_and_epoch():
    """`X-RateLimit-Reset` is a time there."""
    headers = {"x_ratelimit_remaining": 34, "x_ratelimit_reset": int(NOW) + 30, "x_ratelimit_scope": "lowCallRate"}
    assert RemainingQuota(34, NOW + 30, "lowCallRate") == VENDORS["dotdigital"].remaining_quota(answer(**headers), NOW)


def test_a_clock_that_was_set_back_stops_no_task(account):
    """Calls counted in the future count no more."""
    fake_account = account(Rate(2, 60))
    fake_account.now = NOW + 86_400
    fake_account.leave(fake_account.task(), calls=2)
    fake_account.now = NOW
    assert fake_account.leave(fake_account.task(), calls=2) == [0, 0]


def test_old_counts_are_swept(filed):
    """The file does not grow with the years."""
    fake_account = filed(Rate(50, 60))
    task = fake_account.task()
    fake_account.leave(task, calls=500)
    with sqlite3.connect(Path(fake_account.store) / f"{NAME}.sqlite") as file:
        assert file.execute("select count(*) from 'all'").fetchone()[0] <= 150
    file.close()


def test_a_damaged_file_starts_anew(filed):
    """A power failure cuts a file in two: one call is tried again, and then counting goes on."""
    fake_account = filed(Rate(2, 60))
    Path(fake_account.store).mkdir()
    (Path(fake_account.store) / f"{NAME}.sqlite").write_bytes(b"SQLite format 3\0 and no more" * 99)
    task = fake_account.task()
    with pytest.raises(RetryableError, match="was damaged"):
        task(READ)
    assert fake_account.leave(task, calls=2) == [0, 0]


def test_a_folder_that_cannot_be_written_counts_for_the_process(filed, caplog):
    """The web server tests a connection without the workers' disk: calls go out, and the log says what is missing."""
    fake_account = filed(Rate(2, 60))
    Path(fake_account.store).write_text("a file in the place of the folder")
    task = fake_account.task()
    assert fake_account.leave(task, calls=3) == [0, 0, pytest.approx(60 * LONGER, abs=0.01)]
    assert "Counting calls for this process only" in caplog.text


def test_a_file_that_another_holds_is_a_reason_to_come_later(filed, monkeypatch):
    """A hanging process elsewhere makes a try fail, not the export; an answer that has come is not lost for it."""
    monkeypatch.setattr("airflow_provider_segexport.ratelimit.sqlite.LOCK_TIMEOUT_S", 0.01)
    fake_account = filed(Rate(2, 60))
    task = fake_account.task()
    task(READ)
    holder = sqlite3.connect(Path(fake_account.store) / f"{NAME}.sqlite", isolation_level=None)
    holder.execute("begin immediate")
    with pytest.raises(RetryableError, match="cannot be reached"):
        task(READ)
    task.record_response(READ, answer(429, retry_after=20))
    holder.close()
    task(READ)


@pytest.mark.parametrize("store", ["s3://bucket", "mysql://db/quotas", "sqlite:///quotas"])
def test_a_store_of_another_kind_is_refused_in_words(store):
    """It is not taken for a folder's name."""
    with pytest.raises(InvalidConnection, match="rate_limit_store"):
        open_store(store, "account", PLAIN.limits)


def test_the_seconds_waited_stand_in_the_traffic(account):
    """Waiting for quota is reported like any other waiting; a retry counts against the quota like a first call."""
    fake_account = account(Rate(2, 60))
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", READ.url, [{"status_code": 503}, {"json": {}}])

    def session():
        made = requests.Session()
        made.mount("https://", adapter)
        return made

    sender = Sender(
        session,
        fake_account.vendor,
        rate_limiter=fake_account.task(),
        sleep=lambda _: None,
        clock=lambda: fake_account.now,
    )
    for _ in range(2):
        sender(READ)
    sender.close()
    assert sender.traffic.calls == 3
    assert sender.traffic.wait_s >= 60 * LONGER
    assert fake_account.now - NOW == pytest.approx(60 * LONGER, abs=0.01)


def test_a_call_that_took_long_counts_from_when_it_may_have_arrived(account):
    """A proxy that holds a call back does not make two windows' calls arrive in one."""
    fake_account = account(Rate(1, 60))
    task = fake_account.task()
    task(READ)
    fake_account.now += 0.1
    task.record_response(READ, answer())
    slow = fake_account.leave(task)[0]
    fake_account.now += 20
    task.record_response(READ, None)
    assert fake_account.leave(task) == [pytest.approx(slow + 20 - 0.1 + 60 * (LONGER + 1) / 2, abs=0.01)]


def test_calls_that_all_take_alike_long_lose_nothing(account):
    """The latency of every call shifts them alike: a short window is used to its end."""
    fake_account = account(Rate(1, 1))
    task = fake_account.task()
    for _ in range(10):
        task(READ)
        fake_account.now += 0.3
        task.record_response(READ, answer())
    assert fake_account.now - NOW == pytest.approx(9 * LONGER + 0.3, abs=0.02)


def test_a_little_more_or_less_loses_nothing(account):
    """One call of a task takes some milliseconds more than another: half of what our windows are longer is for that."""
    fake_account = account(Rate(1, 1))
    task = fake_account.task()
    for more in (0, 0.014, 0.007, 0.012, 0.001) * 2:
        task(READ)
        fake_account.now += 0.3 + more
        task.record_response(READ, answer())
    assert fake_account.now - NOW == pytest.approx(9 * LONGER + 0.3, abs=0.02)


def test_a_day_that_resets_counts_calls_by_when_they_left(account):
    """How long they took makes no difference to it."""
    fake_account = account(Rate(100, 86_400, fixed_window=True))
    task = fake_account.task()
    task(READ)
    fake_account.now += 3600
    task.record_response(READ, None)
    assert fake_account.leave(task, calls=96) == [3600] * 96


def test_a_backfill_gives_way_while_a_scheduled_run_is_at_work(account):
    """It goes on as long as less than half of the window is used, and has all of it when the other is silent again."""
    fake_account = account(Rate(10, 60))
    scheduled, backfill = fake_account.task(), fake_account.task(backfill=True, longest_s=5)
    assert [0] == fake_account.leave(scheduled)
    assert [0] * 4 == fake_account.leave(backfill, calls=4)
    with pytest.raises(RateLimited):
        backfill(READ)
    assert [0] * 5 == fake_account.leave(scheduled, calls=5)
    fake_account.now += 130
    assert [130] * 10 == fake_account.leave(backfill, calls=10)


def test_a_scheduled_run_that_waits_is_at_work(account):
    """A backfill that came first does not fill the next window before it."""
    fake_account = account(Rate(10, 60))
    scheduled, backfill = fake_account.task(longest_s=1), fake_account.task(backfill=True)
    assert [0] * 10 == fake_account.leave(backfill, calls=10)
    for _ in range(2):
        fake_account.now += 25
        with pytest.raises(RateLimited):
            scheduled(READ)
    fake_account.now += 12
    assert [62] * 5 == fake_account.leave(backfill, calls=5)
    assert [62] * 5 == fake_account.leave(scheduled, calls=5)


def test_a_backfill_leaves_a_part_of_the_day_to_the_others(account):
    """A run that comes later in the day finds calls left."""
    fake_account = account(Rate(100, 86_400, fixed_window=True))
    scheduled, backfill = fake_account.task(longest_s=1), fake_account.task(longest_s=1, backfill=True)
    assert [0] * 77 == fake_account.leave(backfill, calls=77)
    with pytest.raises(RateLimited, match="A backfill leaves a part of it to scheduled runs"):
        backfill(READ)
    assert [0] * 20 == fake_account.leave(scheduled, calls=20)
    with pytest.raises(RateLimited):
        scheduled(READ)


def test_a_backfill_leaves_a_part_of_what_the_vendor_says_is_left(account):
    """No rate is published: half of the vendor's first remaining quota is for the scheduled run."""
    fake_account = account()
    scheduled, backfill = fake_account.task(), fake_account.task(backfill=True)
    scheduled(READ)
    scheduled.record_response(READ, answer(x_left=10, x_until=NOW + 40))
    assert [0] * 5 == fake_account.leave(backfill, calls=5)
    assert [0] * 5 == fake_account.leave(scheduled, calls=5)
    assert [40] == fake_account.leave(backfill)


@pytest.mark.parametrize("rates", [((4, 1), (10, 3600)), ((3, 1), (50, 60)), ((1, 1), (2, 60)), ((400, 60), (7, 1))])
@pytest.mark.parametrize("rank", [Priority(), Priority(backfill=True), Priority(backfill=True, yielding=True)])
def test_counts_are_in_the_order_that_the_library_wants(rates, rank):
    """A longer window takes more calls at no higher rate, also where half was rounded; none more than published."""
    published = [Rate(calls, seconds) for calls, seconds in rates]
    counts = sliding_rates(published, rank)
    enforce_rate_list(counts)
    for rate in published:
        assert any(
            rate_of_window.limit / rate_of_window.interval <= rate.calls / rate.seconds / 1000
            for rate_of_window in counts
        )


SERVERS = {
    "redis": ("redis://user:s3cret@127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
    "postgresql": ("postgresql://user:s3cret@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_does_not_answer_is_a_reason_to_come_later(name, messages):
    """The error says where calls are counted, and no password."""
    url, shown = SERVERS[name]
    pace = Account(url, vendor_of(Rate(2, 60))).task()
    with pytest.raises(RetryableError, match=f"at {shown} cannot be reached"):
        pace(READ)
    pace.record_response(READ, answer(429, retry_after=20))
    pace.close()


@pytest.mark.parametrize("name", ["redis", "postgresql"])
def test_a_server_whose_client_is_not_installed(name, monkeypatch):
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, {"redis": "redis", "postgresql": "psycopg"}[name], None)
    monkeypatch.delitem(sys.modules, f"airflow_provider_segexport.ratelimit.{name.removesuffix('ql')}", raising=False)
    with pytest.raises(InvalidConnection, match=r"pip install 'airflow-provider-segexport\[(redis|postgres)\]'"):
        open_store(f"{name}://127.0.0.1/0", NAME, PLAIN.limits)


def test_redis_that_was_started_anew(tmp_path):
    """It has lost its scripts: one call is tried again, and then counting goes on."""
    store = quota_store("redis", tmp_path)
    import redis  # noqa: PLC0415 - only with its server

    for make in accounts(store):
        fake_account = make(Rate(2, 60))
        task = fake_account.task()
        task(READ)
        with redis.Redis.from_url(store) as client:
            client.script_flush()
        with pytest.raises(RetryableError, match=r"NoScriptError"):
            task(READ)
        assert [0, pytest.approx(60 * LONGER, abs=0.01)] == fake_account.leave(task, calls=2)


def test_redis_deletes_by_itself_what_no_window_counts_any_more(tmp_path):
    """Every key has a time to live."""
    store = quota_store("redis", tmp_path)
    import redis  # noqa: PLC0415 - only with its server

    for make in accounts(store):
        fake_account = make(Rate(2, 60), tags=Rate(2, 600))
        fake_account.leave(fake_account.task(), TAG)
        with redis.Redis.from_url(store) as client:
            lives = {key.decode().rpartition(":")[2]: client.ttl(key) for key in client.scan_iter(f"*{NAME}*")}
        assert {"all", "tags", "window_states"} == set(lives)
        assert 100 < lives["all"] < 200
        assert 1000 < lives["tags"] < 1400


def test_postgresql_that_closed_the_connection(tmp_path):
    """An idle connection was cut: the call goes out over another one."""
    store = quota_store("postgresql", tmp_path)
    import psycopg  # noqa: PLC0415 - only with its server

    for make in accounts(store):
        fake_account = make(Rate(2, 60))
        task = fake_account.task()
        task(READ)
        number = task._store._connection.info.backend_pid
        with psycopg.connect(store) as connection:
            connection.execute("select pg_terminate_backend(%s)", [number])
        assert [0, pytest.approx(60 * LONGER, abs=0.01)] == fake_account.leave(task, calls=2)


def test_postgresql_whose_zone_is_another(tmp_path):
    """Counts are of moments, whatever zone the database and the connection are set to."""
    store = quota_store("postgresql", tmp_path)
    for make in accounts(f"{store}?options=-c%20timezone%3DAmerica/New_York"):
        fake_account = make(Rate(2, 60))
        assert [0, 0, pytest.approx(60 * LONGER, abs=0.01)] == fake_account.leave(fake_account.task(), calls=3)


@pytest.mark.parametrize(("theirs", "ahead"), [(1000.0, 0.0), (1000.4, 0.0), (1003.0, 2.5), (990.0, -10.5)])
def test_machines_count_by_the_servers_clock(theirs, ahead):
    """How far it is ahead is known to within the time that asking took."""
    assert ahead == clock_offset(theirs, 1000.0, 1001.0)


def test_what_is_left_of_the_day_is_known_before_the_first_call(account):
    """Calls of today count, yesterday's do not; where no window starts over, the remaining calls are unknown."""
    fake_account = account(Rate(100, 86_400, fixed_window=True))
    task = fake_account.task()
    assert 97 == task.remaining()
    fake_account.leave(task, calls=10)
    assert 87 == fake_account.task().remaining()
    fake_account.now = NOW + 86_400 + 60
    assert 97 == task.remaining()


def test_the_remaining_quota_is_the_vendor_s_figure(filed):
    """Less what went out since; no longer than it holds."""
    fake_account = filed(Rate(1000, 60))
    task = fake_account.task()
    assert None is task.remaining()
    fake_account.leave(task)
    task.record_response(READ, answer(x_left=5, x_until=NOW + 3600))
    assert 5 == task.remaining()
    fake_account.now += 7200
    assert None is task.remaining()
