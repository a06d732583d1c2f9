"""One person in files: found by any spelling of the address, and removed with no other person touched."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.person_files import ADA, ROWS, ledger, root, tools
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.erase import erase
from airflow_provider_segexport.person.explain import explain
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.erased import marks
from airflow_provider_segexport.storage.files import ArrowFileWriter, ArrowReader, write_parquet
from airflow_provider_segexport.storage.paths import ensure_folder, local_path, read, write

__all__ = ["root"]


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


@pytest.mark.parametrize("chunks", [[], [[]], [[], ["ada@example.com"], []]])
def test_a_column_may_have_empty_chunks(chunks):
    """PyArrow's older versions crash at some of them."""
    emails = pa.chunked_array(chunks, pa.string())
    assert [True] * len(emails) == ADA.rows(emails).to_pylist()


def test_the_chunks_of_a_column_are_not_joined():
    """One array holds 2 GiB of text at most, and 24,000 rejected addresses of 100 kB are more."""
    column = pa.chunked_array([["ada@example.com"], [], ["bob@example.com", "ada@example.com"]], pa.string())
    assert [[True], [False, True]] == [chunk.to_pylist() for chunk in ADA.rows(column).chunks]


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
    assert "a run that is not finished. To fix: let it finish, or delete the folder; a later try" in receipt.left[0]
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
    [left] = receipt.left
    assert f"{elsewhere}: a run that is not finished. To fix: keep the folder, which the audience's next run" in left
    assert [ADA.mark] == marks(elsewhere)


def test_an_old_run_in_a_reports_path_of_its_own_is_found(root, tmp_path):
    """An audience's newest state names its last thirty runs; an hourly task keeps hundreds beside them."""
    audience_ledger = ledger(root, {"bob@example.com": "member"})
    folders = [
        ensure_folder(local_path(str(tmp_path / reports / "dag" / "task" / run / "0" / "01")))
        for reports, run in [("former", "only"), ("reports", "unrecorded"), *(("reports", f"r{n}") for n in range(31))]
    ]
    for number, folder in enumerate(folders):
        write(folder / "summary.json", b'{"finished": true}')
        write_parquet(folder / "rejects.parquet", [pa.record_batch([[1], ["ada@example.com"]], schema=ROWS)], ROWS)
        summary = {"run": "dag/task/run/0", "run_folder": str(folder), "ended_at": float(number)}
        if "unrecorded" not in str(folder):
            history.record_run(audience_ledger.path, summary, members=1)
    assert erase(tools(root), ADA, "Ann").complete
    assert 0 == sum(files.count(folder / "rejects.parquet", ADA) for folder in folders)


def test_an_unfinished_run_is_marked_before_the_person_leaves_the_audience(root):
    """It may continue as soon as the audience is free, before the erasure reaches the run folders."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})
    run = ensure_folder(root / "runs" / "dag" / "task" / "run" / "0" / "01")
    write(run / "plan.json", b"{}")
    write_parquet(run / "not_sent.parquet", [pa.record_batch([[1], ["ada@example.com"]], schema=ROWS)], ROWS)
    AudienceState("dag.task", sharers=("dag.task",), open_run_folder=str(run)).write(audience_ledger.path)
    marked = []

    def take_out(*_):
        marked.extend(marks(run))
        return "removed"

    erase(tools(root, take_out), ADA, "Ann", dry_run=True)
    assert [] == marks(run)
    erase(tools(root, take_out), ADA, "Ann")
    assert [ADA.mark] == marked


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
