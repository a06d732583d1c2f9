"""One person in files: found by any spelling of the address, and removed with no other person touched."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import TARGET
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from airflow_provider_segexport import fencing
from airflow_provider_segexport.cli.person import describe_record
from airflow_provider_segexport.errors import DamagedState, FatalError, InvalidSegment
from airflow_provider_segexport.export.release import Release, release
from airflow_provider_segexport.export.repair import repair
from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.erase import ErasureDeps, erase
from airflow_provider_segexport.person.explain import explain, row
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage import sealing
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.erased import marks
from airflow_provider_segexport.storage.files import ArrowFileWriter, ArrowReader, write_parquet
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import SCHEMA
from airflow_provider_segexport.storage.paths import ensure_folder, local_path, read, write

NOW = 1_767_225_600.0
ADA = Person.of("ada@example.com")
ROWS = pa.schema([("row", pa.int64()), ("email", pa.string())])


@pytest.fixture(params=["disk", "object storage"])
def root(request, tmp_path):
    """A place on a disk, and one that is none."""
    root = local_path(str(tmp_path)) if request.param == "disk" else UPath(f"memory://{tmp_path.name}")
    root.mkdir(parents=True, exist_ok=True)
    yield root
    if request.param != "disk":
        root.fs.store.clear()


def ledger(root, *versions):
    """A ledger with these people in, version by version."""
    written_ledger = Ledger.of(root, "plain", TARGET)
    for number, people in enumerate(versions):
        table = pa.Table.from_pylist([{"email": email, "state": state} for email, state in people.items()], SCHEMA)
        members = sum(state in {"member", "removing"} for state in people.values())
        written_ledger.commit(table.to_batches(), number, {"members": members})
    return written_ledger


def tools(root, take_out=lambda ledger_row, person: "removed"):
    return ErasureDeps(
        root, local_path if not isinstance(root, UPath) else UPath, take_out, lambda: NOW, lambda _: None
    )


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com",
        " Ada@Example.COM \n",
        "\u200bADA@example.com",
        "mailto:ada@example.com",
        "Ada L. <Ada@example.com>",
    ],
)
def test_a_person_is_who_the_address_is_trimmed_and_in_lower_case(text):
    """As an export cleans it."""
    assert Person.of(text) == ADA


def test_an_internationalised_domain_is_looked_for_in_both_spellings():
    """The ledger holds its ASCII form, and a rejected row what the segment had."""
    person = Person.of("ada@bücher.example")
    assert [True, True, False] == person.rows(
        pa.array(["ada@xn--bcher-kva.example", "Ada@Bücher.example", None])
    ).to_pylist()


SPELLINGS = [
    "ada+x@bücher.example",
    "ADA+X@XN--BCHER-KVA.EXAMPLE",
    " ada+x@bu\u0308cher.example\r",
    "Ada L. <ada+X@BÜCHER.example>",
    "mailto:ada%2Bx@b%C3%BCcher.example?subject=x",
    "MAILTO:ada%2bx%40xn--bcher-kva.example",
]
OTHERS = [
    None,
    "",
    "x",
    "bada+x@bücher.example",
    "b.ada+x@bücher.example",
    "adax@bücher.example",
    "ada+x@buecher.example",
    "ada+x@bücher.example.com",
    "ad\u00aa+x@bücher.example",
    "Ada <bob@bücher.example>",
    "ada+x@bücher.example <bob@bücher.example>",
]


@pytest.mark.parametrize("text", SPELLINGS, ids=ascii)
def test_every_spelling_of_an_address_is_the_person_s_and_no_other_is(text):
    """A request, a ledger and a rejected row may each spell it in their own way."""
    person = Person.of(text)
    assert "ada+x@xn--bcher-kva.example" == person.email
    column = pa.array([*SPELLINGS, *OTHERS], pa.string())
    expected = [True] * len(SPELLINGS) + [False] * len(OTHERS)
    assert expected == person.rows(column).to_pylist()
    assert expected * 2 == person.rows(pa.chunked_array([column, column])).to_pylist()


@pytest.mark.parametrize(
    ("text", "other_address"),
    [
        ("\u0130lker@example.com", "ilker@example.com"),
        ("\u212aate@example.com", "kate@example.com"),
        ("ad\u00aa@example.com", "ada@example.com"),
        ("\uff41da@example.com", "ada@example.com"),
    ],
)
def test_a_request_about_an_address_outside_ascii_touches_no_other_person(text, other_address):
    """Both ways: neither erases the other's rows."""
    column = pa.array([text, other_address, other_address.upper(), text + " "], pa.string())
    assert [True, False, False, True] == Person.of(text).rows(column).to_pylist()
    assert [False, True, True, False] == Person.of(other_address).rows(column).to_pylist()


def test_an_address_outside_ascii_is_found_in_any_case():
    """It cannot be sent, but rejected rows hold it."""
    column = pa.array(["JOSÉ@example.com", "jose\u0301@example.com", "jose@example.com"], pa.string())
    assert [True, True, False] == Person.of("José@example.com").rows(column).to_pylist()


def test_a_text_without_an_at_sign_is_no_person():
    """It is said at once, and the text is not repeated."""
    with pytest.raises(InvalidSegment, match="no @") as raised:
        Person.of("ada.example.com")
    assert "ada" not in str(raised.value)


def test_a_person_does_not_show_in_a_log():
    """A value that is logged by mistake names no person."""
    assert "ada" not in repr(ADA)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["ada@example.com", "ADA@example.com ", "bob@example.com", "", None]), max_size=30))
def test_a_file_loses_the_person_and_no_other(tmp_path_factory, emails):
    """Whatever order and whatever spelling."""
    path = local_path(str(tmp_path_factory.mktemp("file") / "rows.parquet"))
    table = pa.table({"row": pa.array(range(len(emails)), pa.int64()), "email": pa.array(emails, pa.string())})
    write_parquet(path, table.to_batches(), ROWS)
    theirs = [n for n, email in enumerate(emails) if email and email.strip().lower() == ADA.email]
    assert len(theirs) == files.count(path, ADA) == files.clean(path, ADA)
    assert [n for n in range(len(emails)) if n not in theirs] == pq.read_table(str(path)).column("row").to_pylist()


def test_a_plan_keeps_its_batches(root):
    """A record batch is a batch of the plan, by its number: one that held the person alone stays, and is empty."""
    path = ensure_folder(root / "runs") / "upserts.arrow"
    with ArrowFileWriter(path, ROWS) as out:
        for rows in ([(0, "ada@example.com")], [(1, "bob@example.com"), (2, "Ada@example.com")]):
            out.write(pa.record_batch([pa.array([pair[i] for pair in rows]) for i in (0, 1)], schema=ROWS))
    assert 2 == files.clean(path, ADA)
    reader = ArrowReader(path)
    assert [[], ["bob@example.com"]] == [batch.column("email").to_pylist() for batch in reader]
    reader.close()


def test_a_file_without_addresses_is_left_as_it_is(root):
    """Not even written again."""
    path = ensure_folder(root / "runs") / "counts.parquet"
    write_parquet(path, [pa.record_batch({"n": [1]})], pa.schema([("n", pa.int64())]))
    before = read(path)
    assert (0, 0) == (files.count(path, ADA), files.clean(path, ADA))
    assert before == read(path)


def test_every_kept_version_of_a_ledger_loses_the_person(root):
    """And each says of itself how many are in it then; a person who was out is none of them."""
    audience_ledger = ledger(
        root,
        {"ada@example.com": "member", "bob@example.com": "member"},
        {"ada@example.com": "removed", "bob@example.com": "member", "cy@example.com": "member"},
    )
    receipt = erase(tools(root), ADA, "Ann")
    assert receipt.complete
    assert [1, 2] == audience_ledger.versions()
    assert [()] == [record.versions for record in explain(root, ADA, tools(root).resolve)]
    assert [1, 2] == [int(audience_ledger.facts(version)["members"]) for version in audience_ledger.versions()]
    assert ["ledger", "ledger"] == [finding.kind for finding in receipt.findings]


def test_a_ledger_that_was_cleaned_goes_on(root):
    """The next version is written on top of the newest, as ever."""
    audience_ledger = ledger(root, {"ada@example.com": "member", "bob@example.com": "member"})
    erase(tools(root), ADA, "Ann")
    assert 2 == audience_ledger.commit([], audience_ledger.version())


def test_a_person_that_no_export_added_is_not_removed_at_the_vendor(root):
    """Only who is in, or was being taken out, by the ledger."""
    ledger(root, {"ada@example.com": "left"})
    requested = []
    erase(tools(root, lambda record, person: requested.append(record) or "removed"), ADA, "Ann")
    assert [] == requested


def test_a_run_that_is_not_finished_is_left_and_named(root):
    """Its plan is frozen: what is sent must be what was planned."""
    runs = ensure_folder(root / "runs" / "dag" / "task" / "run" / "0" / "01")
    write(runs / "plan.json", b"{}")
    write_parquet(runs / "rejects.parquet", [pa.record_batch([[1], ["ada@example.com"]], schema=ROWS)], ROWS)
    receipt = erase(tools(root), ADA, "Ann")
    assert not receipt.complete
    assert "a run that is not finished" in receipt.left[0]
    write(runs / "summary.json", json.dumps({"finished": True}).encode())
    assert erase(tools(root), ADA, "Ann").complete
    assert 0 == files.count(runs / "rejects.parquet", ADA)


def test_an_unfinished_run_in_a_reports_path_of_its_own_is_found(root, tmp_path):
    """The audience's state names it: its history does so only when it has ended."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})
    elsewhere = ensure_folder(local_path(str(tmp_path / "reports" / "01")))
    write(elsewhere / "plan.json", b"{}")
    write_parquet(elsewhere / "not_sent.parquet", [pa.record_batch([[1], ["ada@example.com"]], schema=ROWS)], ROWS)
    AudienceState("dag.task", sharers=("dag.task",), open_run_folder=str(elsewhere)).write(audience_ledger.path)
    assert not erase(tools(root), ADA, "Ann", dry_run=True).complete
    assert [] == marks(elsewhere)
    receipt = erase(tools(root), ADA, "Ann")
    assert [f"{elsewhere}: a run that is not finished"] == [left.partition(". To fix")[0] for left in receipt.left]
    assert [ADA.mark] == marks(elsewhere)


def test_a_run_that_failed_before_its_plan_was_frozen_holds_nothing_back(root):
    """Nothing of it is ever sent: the person's rows are taken out of it, and the erasure is complete."""
    runs = ensure_folder(root / "runs" / "dag" / "task" / "run" / "0" / "01")
    write(runs / "summary.json", json.dumps({"finished": False, "error": "a guard"}).encode())
    write_parquet(runs / "not_sent.parquet", [pa.record_batch([[1], ["ada@example.com"]], schema=ROWS)], ROWS)
    assert erase(tools(root), ADA, "Ann").complete
    assert 0 == files.count(runs / "not_sent.parquet", ADA)


def test_a_person_is_explained_without_a_card(root):
    """A ledger alone is enough: the card is for people to look at."""
    ledger(root, {"ada@example.com": "member"})
    [record] = explain(root, ADA, local_path)
    assert ("plain", "member", (1,)) == (record.vendor, record.ledger["state"], record.versions)
    [stranger] = explain(root, Person.of("eve@example.com"), local_path)
    assert not stranger.anything


def taken_by(path, owner, now):
    """A lease that another run holds, which Airflow has ended or which has run out."""
    lease = Lease(path, owner, clock=lambda: now, sleep=lambda _: None, is_task_running=lambda _: False)
    lease._keep = lambda: None
    lease.acquire()
    return lease


def test_an_erasure_that_is_taken_over_sends_nothing_more(root):
    """It was suspended, and a run has taken the audience: its next attempt of a call does not leave."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})
    sent = []

    def take_out(record, person):
        taken_by(record.path, "dag/task/run/0", NOW + 1)
        fencing.check_fence()
        sent.append(person)
        return "removed"

    receipt = erase(tools(root, take_out), ADA, "test")
    assert sent == []
    assert [True] == ["taken over by dag/task/run/0" in text for text in receipt.left]
    assert row(audience_ledger, 1, ADA) is not None


def test_an_erasure_that_is_taken_over_leaves_the_ledger_to_its_successor(root):
    """Taken over when the person was out at the vendor: no file of the ledger is written."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})

    def take_out(record, person):
        taken_by(record.path, "dag/task/run/0", NOW + 1)
        return "removed"

    receipt = erase(tools(root, take_out), ADA, "test")
    assert not receipt.complete
    assert row(audience_ledger, 1, ADA) is not None


def test_an_erasure_waits_for_the_last_call_of_a_run_that_was_killed(root):
    """Its call might add the person again; the next export looks at its journal once more."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})
    dead = taken_by(audience_ledger.path, "dag/task/killed/0", NOW - 1000)
    AudienceState(owner="e", sharers=("e",)).opened("dag/task/killed/0", "runs/killed", dead.writer_token).write(
        audience_ledger.path
    )
    slept, at_the_vendor = [], []

    def take_out(record, person):
        at_the_vendor.append(sum(slept))
        return "removed"

    hands = replace(tools(root, take_out), sleep=slept.append, longest_call_s=lambda _: 40.0)
    assert erase(hands, ADA, "test").complete
    assert at_the_vendor == [40.0]
    assert [("runs/killed", dead.writer_token)] == [
        (doubt.folder, doubt.writer_token) for doubt in AudienceState.of(audience_ledger.path).doubts
    ]
    assert row(audience_ledger, 1, ADA) is None


def test_a_person_who_came_in_while_an_erasure_waited_is_taken_out(root):
    """The ledger is read when the audience is held."""
    audience_ledger = ledger(root, {"ada@example.com": "removed"})
    dead = taken_by(audience_ledger.path, "dag/task/killed/0", NOW - 1000)
    AudienceState(owner="e", sharers=("e",)).opened("dag/task/killed/0", "runs/killed", dead.writer_token).write(
        audience_ledger.path
    )
    taken_out = []

    def sleep(_):
        if audience_ledger.version() == 1:
            table = pa.Table.from_pylist([{"email": "ada@example.com", "state": "member"}], SCHEMA)
            Ledger(audience_ledger.path, SimpleNamespace(number=9, writer_token="", check=lambda: None)).commit(
                table.to_batches(), 1
            )

    hands = replace(
        tools(root, lambda record, person: taken_out.append(person) or "removed"),
        sleep=sleep,
        longest_call_s=lambda _: 1.0,
    )
    erase(hands, ADA, "test")
    assert taken_out == [ADA]


@pytest.mark.parametrize("in_between", ["release", "repair"])
def test_a_command_that_comes_between_leaves_the_wait_to_the_next_run(root, in_between):
    """It has taken over from a run that may be suspended, and has sent nothing itself: the next run waits for it."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})
    dead = taken_by(audience_ledger.path, "dag/task/killed/0", NOW - 1000)
    killed = ensure_folder(root / "runs" / "killed")
    write(killed / "config.json", b"{}")
    AudienceState(owner="e", sharers=("e",)).opened("dag/task/killed/0", str(killed), dead.writer_token).write(
        audience_ledger.path
    )
    clocks = {"clock": lambda: NOW, "sleep": lambda _: None}
    if in_between == "repair":
        repair(audience_ledger.path, tools(root).resolve, **clocks)
    else:
        with pytest.raises(FatalError, match="has not ended"):
            release(audience_ledger.path, Release("e"), **clocks)
    after = Lease(audience_ledger.path, "dag/task/next/0", **clocks)
    after.acquire()
    assert after.unclean
    after.release()


def damage(path) -> bytes:
    """Change one byte in the middle of a file; this process has not read it before."""
    sealing._verified.clear()
    content = bytearray(read(path))
    content[len(content) // 3] ^= 4
    write(path, bytes(content))
    return bytes(content)


def test_a_damaged_version_of_a_ledger_is_not_made_whole_by_erasing(root):
    """Written again, it would carry a right checksum. It stays as it is, and the receipt names it."""
    audience_ledger = ledger(root, {ADA.email: "member"}, {ADA.email: "member", "b@example.com": "member"})
    content = damage(audience_ledger.file(1))
    for dry_run in (True, False):
        receipt = erase(tools(root), ADA, "Ann", dry_run=dry_run)
        assert not receipt.complete
        [left] = receipt.left
        assert str(audience_ledger.file(1)) in left
        assert "its checksum differs" in left
        assert "To fix: restore it" in left
    assert read(audience_ledger.file(1)) == content
    assert [(1,)] == [record.damaged for record in explain(root, ADA, tools(root).resolve)]
    assert files.count(audience_ledger.file(2), Person.of("b@example.com")) == 1
    assert files.count(audience_ledger.file(2), ADA) == 0
    with pytest.raises(DamagedState, match="its checksum differs"):
        files.clean(audience_ledger.file(1), ADA)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_damaged_newest_version_is_left_with_what_to_do(root, dry_run):
    """Whether the person is in that audience is not known. Other audiences and run folders are erased all the same."""
    damaged = ledger(root, {ADA.email: "member"})
    other = Ledger.of(root, "plain", replace(TARGET, audience="another"))
    other.commit(pa.Table.from_pylist([{"email": ADA.email, "state": "member"}], SCHEMA).to_batches(), 0)
    damage(damaged.file(1))
    receipt = erase(tools(root), ADA, "Ann", dry_run=dry_run)
    [left] = receipt.left
    assert str(damaged.file(1)) in left
    assert ("airflow segexport repair" in left) != dry_run
    assert {finding.outcome for finding in receipt.findings} == ({"in", "found"} if dry_run else {"removed"})
    assert files.count(other.file(1), ADA) == (1 if dry_run else 0)
    records = {record.path.name: record for record in explain(root, ADA, tools(root).resolve)}
    assert [True, False] == [records[path.name].is_unknown for path in (damaged.path, other.path)]
    assert "unknown, because the newest version (1)" in "\n".join(describe_record(records[damaged.path.name]))


@pytest.mark.parametrize("name", ["rejects.parquet", "upserts.arrow"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_damaged_table_of_a_run_is_named(root, name, finished):
    """The other tables of the run are cleaned."""
    folder = ensure_folder(root / "runs" / "dag" / "task" / "run" / "0" / "01")
    rows = pa.table({"row": [1, 2], "email": [ADA.email, "b@example.com"]}, ROWS)
    for file_name in ("rejects.parquet", "removals.parquet"):
        write_parquet(folder / file_name, rows.to_batches(), ROWS)
    with ArrowFileWriter(folder / "upserts.arrow", ROWS) as out:
        out.write(rows.to_batches()[0])
    if finished:
        write(folder / "summary.json", b'{"finished": true}')
    else:
        write(folder / "plan.json", b"{}")
    damage(folder / name)
    receipt = erase(tools(root), ADA, "Ann")
    assert any(str(folder / name if finished else folder) in left for left in receipt.left)
    assert files.count(folder / "removals.parquet", ADA) == (0 if finished else 1)


def test_files_of_version_1_carry_no_checksum_and_are_cleaned(root):
    """Parquet and Arrow."""
    folder = ensure_folder(root / "old")
    rows = pa.table({"row": [1, 2], "email": [ADA.email, "b@example.com"]}, ROWS)
    with (folder / "rejects.parquet").open("wb") as file:
        pq.write_table(rows, file)
    with (folder / "upserts.arrow").open("wb") as file, pa.ipc.new_file(file, ROWS) as out:
        out.write_table(rows)
    assert [1, 1] == [files.clean(folder / name, ADA) for name in ("rejects.parquet", "upserts.arrow")]
