"""Which rows have proof of consent: moments of every kind, parts that a vendor requires, later opt-outs."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from core.factories import PLAIN, inspected, shared, written

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.model import OptOut, Reason
from airflow_provider_segexport.stages import clean, date_columns, map_fields, proof, readback
from airflow_provider_segexport.storage.plan import FieldMapping
from airflow_provider_segexport.storage.proof_columns import ProofColumns
from airflow_provider_segexport.vendors.base import Audience, MappedFields
from airflow_provider_segexport.vendors.consent_proof import ConsentProof

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
TAKES_ALL = ConsentProof(parts=frozenset({"source", "text", "ip", "user_agent"}), subscribes=True)


@pytest.fixture
def judged(tmp_path):
    """Judge rows by these columns; state and moment of each row, in order."""

    def go(consented_at, rule=TAKES_ALL, optouts=(), columns=None, files=(), *, text_format=""):
        count = len(consented_at)
        content = {"email": [f"p{number}@example.com" for number in range(count)], "consented_at": consented_at}
        path = written(tmp_path / "in.parquet", content | (columns or {}))
        formats = {"consented_at": text_format} if text_format else {}
        mapping = FieldMapping({"email": "email"}, date_formats=formats)
        named_columns = ProofColumns("consented_at", {name: name for name in columns or {}})
        read = inspected(path, *files, wanted=["email", *named_columns.names()])
        read = date_columns.with_dates(mapping, read, named_columns.consented_at)
        plan_columns, mapped = proof.resolve(named_columns, read, formats)
        audience = Audience("https://x", "1", "Shop")
        resolved = map_fields.resolve(PLAIN, mapping, MappedFields(("email",)), read, audience)
        sql = shared()
        clean.clean(sql, read, replace(resolved, proof=plan_columns))
        proof.judge(sql, rule, mapped, NOW)
        if optouts:
            readback.OptOuts(sql)(list(optouts))
            proof.find_opted_out_later(sql, mapped)
        proof.prove(sql, rule, mapped)
        return sql.rows("select proof_state, proof_at from proven_rows order by row")

    return go


MOMENTS = [
    ("2026-01-01T00:00:00Z", "with_proof", "2026-01-01T00:00:00Z"),
    ("2026-01-01T00:00:01Z", "moment_in_future", None),
    ("2025-12-31T23:30:00-01:00", "moment_in_future", None),
    ("2026-01-01T01:00:00+02:00", "with_proof", "2025-12-31T23:00:00Z"),
    ("2025-10-26T02:30:00+0100", "with_proof", "2025-10-26T01:30:00Z"),
    ("2025-10-26T02:30:00+02", "with_proof", "2025-10-26T00:30:00Z"),
    ("2025-06-01 12:00:00.999999999", "with_proof", "2025-06-01T12:00:00Z"),
    (" 2025-06-01T12:00 ", "with_proof", "2025-06-01T12:00:00Z"),
    ("2025-06-01 12:00:00.000 +0100", "with_proof", "2025-06-01T11:00:00Z"),  # Snowflake
    ("2025-06-01 12:00:00.123456 -0730", "with_proof", "2025-06-01T19:30:00Z"),
    ("2025-06-01 12:00:00 UTC", "with_proof", "2025-06-01T12:00:00Z"),  # BigQuery
    ("2025-06-01T12:00 +01:00", "with_proof", "2025-06-01T11:00:00Z"),
    ("2025-06-01 12:00:00  UTC", "unreadable_moment", None),
    ("2025-06-01 12:00:00 CET", "unreadable_moment", None),
    ("2025-06-01 12:00:00 +0100 UTC", "unreadable_moment", None),
    ("2025-06-01 12:00:00 +1500", "unreadable_moment", None),
    ("2025-06-01 UTC", "unreadable_moment", None),
    ("9999-12-31", "moment_in_future", None),
    ("9999-12-31T23:59:59-14:00", "moment_in_future", None),
    ("1994-12-31T23:59:59Z", "moment_before_1995", None),
    ("1995-01-01", "with_proof", "1995-01-01T00:00:00Z"),
    ("1970-01-01T00:00:00Z", "moment_before_1995", None),
    ("1900-01-01", "moment_before_1995", None),
    ("0001-01-01", "moment_before_1995", None),
    ("1735689600", "unreadable_moment", None),
    ("1735689600000", "unreadable_moment", None),
    ("2025-02-30", "unreadable_moment", None),
    ("2025-13-01T00:00:00Z", "unreadable_moment", None),
    ("31.12.2025", "unreadable_moment", None),
    ("12/31/2025", "unreadable_moment", None),
    ("2025-10-26T02:30:00 Europe/Berlin", "unreadable_moment", None),
    ("2025-10-26T02:30:00Z; drop table x", "unreadable_moment", None),
    ("2025-12-28T10:00:00-99:00", "unreadable_moment", None),
    ("2025-12-28T10:00:00-15", "unreadable_moment", None),
    ("2025-12-28T10:00:00+05:99", "unreadable_moment", None),
    ("25-12-31", "unreadable_moment", None),
    ("infinity", "unreadable_moment", None),
    ("epoch", "unreadable_moment", None),
    ("now", "unreadable_moment", None),
    ("yes", "unreadable_moment", None),
    ("NaT", "unreadable_moment", None),
    ("", "no_moment", None),
    (" \t", "no_moment", None),
    (None, "no_moment", None),
]


def test_moments_as_text(judged):
    """ISO 8601, with a zone or in UTC; a number is not a time."""
    texts = [text for text, _, _ in MOMENTS]
    results = judged(pa.array(texts, pa.string()))
    assert [(text, *row) for text, row in zip(texts, results, strict=True)] == MOMENTS


def test_moments_in_a_form_of_their_own(judged):
    """By the export's date format alone; without a zone, an opt-out in the 14 hours before counts as later."""
    texts = [
        "31.12.2025 10:30",
        " 1.6.2025 9:05",
        "2025-06-01T09:05",
        "31.12.25 10:30",
        "1.1.1970 0:00",
        "2.1.2026 0:00",
        "",
    ]
    optouts = [OptOut("p0@example.com", Reason.UNSUBSCRIBED, "2025-12-30T21:00:00Z")]
    assert judged(pa.array([*texts, None]), optouts=optouts, text_format="%d.%m.%Y %H:%M") == [
        ("opted_out_later", None),
        ("with_proof", "2025-06-01T09:05:00Z"),
        ("unreadable_moment", None),
        ("unreadable_moment", None),
        ("moment_before_1995", None),
        ("moment_in_future", None),
        ("no_moment", None),
        ("no_moment", None),
    ]
    assert judged(pa.array(["06/01/2025", "06/31/2025"]), text_format="%m/%d/%Y") == [
        ("with_proof", "2025-06-01T00:00:00Z"),
        ("unreadable_moment", None),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "state", "moment"),
    [
        (pa.date32(), 20_000, "with_proof", "2024-10-04T00:00:00Z"),
        (pa.date64(), 1_700_006_400_000, "with_proof", "2023-11-15T00:00:00Z"),
        (pa.timestamp("s"), 1_700_000_000, "with_proof", "2023-11-14T22:13:20Z"),
        (pa.timestamp("ns"), 1_700_000_000_123_456_789, "with_proof", "2023-11-14T22:13:20Z"),
        (pa.timestamp("ms", "America/New_York"), 1_700_000_000_000, "with_proof", "2023-11-14T22:13:20Z"),
        (pa.timestamp("us", "+05:30"), 1_700_000_000_000_000, "with_proof", "2023-11-14T22:13:20Z"),
        (pa.timestamp("us"), 253_402_300_799_000_000, "moment_in_future", None),
        (pa.timestamp("us"), 253_402_300_800_000_000, "unreadable_moment", None),
        (pa.timestamp("us"), -62_135_596_800_000_001, "unreadable_moment", None),
        (pa.timestamp("us"), 2**63 - 1, "unreadable_moment", None),  # DuckDB's infinity
        (pa.timestamp("us"), -(2**63), "unreadable_moment", None),  # NumPy's NaT
        (pa.date32(), 2_932_897, "unreadable_moment", None),
        (pa.null(), None, "no_moment", None),
        (pa.dictionary(pa.int8(), pa.string()), "2025-05-05", "with_proof", "2025-05-05T00:00:00Z"),
    ],
)
def test_moments_of_a_type(judged, kind, value, state, moment):
    """Dates and timestamps of any unit, with a zone or without; no year of five digits can be read."""
    assert judged(pa.array([value], kind)) == [(state, moment)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pa.int64(), 1), (pa.float64(), 1.7e9), (pa.bool_(), True), (pa.list_(pa.date32()), [1]), (pa.time32("s"), 1)],
)
def test_a_type_that_holds_no_moment(judged, kind, value):
    """Refused, whatever its values are; the error names column, argument and types."""
    with pytest.raises(InvalidSegment, match=r"'consented_at' \(`consented_at_column`\) is .* To fix: write"):
        judged(pa.array([value], kind))


def test_a_date_beside_a_timestamp(judged, tmp_path):
    """Files of the two types have a common one; the date begins at midnight."""
    other = written(
        tmp_path / "other.parquet",
        {"email": ["q@example.com"], "consented_at": pa.array([1_700_000_000], pa.timestamp("s"))},
    )
    assert judged(pa.array([20_000], pa.date32()), files=[other]) == [
        ("with_proof", "2024-10-04T00:00:00Z"),
        ("with_proof", "2023-11-14T22:13:20Z"),
    ]


@pytest.mark.parametrize(
    ("consented", "opted_out", "later"),
    [
        ("2025-06-01T12:00:00Z", "2025-06-01T12:00:00Z", True),
        ("2025-06-01T12:00:00Z", "2025-06-01T12:00:00.001Z", True),
        ("2025-06-01T12:00:00Z", "2025-06-01T11:59:59.999Z", False),
        ("2025-06-01T12:00:00Z", "2025-06-01T14:00:00+02:00", True),
        ("2025-06-01T12:00:00Z", "2025-06-01T13:59:59+02:00", False),
        ("2025-06-01T12:00:00Z", "", True),
        ("2025-06-01T12:00:00Z", "yesterday", True),
        ("2025-06-01T12:00:00.9Z", "2025-06-01T12:00:00Z", True),
        ("2025-06-01T12:00:00Z", "2025-06-01T04:00:00", True),
        ("2025-06-01T12:00:00Z", "2025-06-01", True),
        ("2025-06-01T12:00:00Z", "epoch", True),
        ("2025-06-01T12:00:00Z", "-infinity", True),
        ("2025-06-01T12:00:00Z", "2025-06-01T12:00:00+99:00", True),
        ("2025-06-01T12:00:00Z", "0001-01-01T00:00:00Z", True),
        ("2025-06-01T12:00:00Z", "1970-01-01T00:00:00Z", True),
        ("2025-06-01T12:00:00Z", "9999-12-31T00:00:00Z", True),
        ("2025-06-01", "2025-05-31T10:00:00Z", True),
        ("2025-06-01", "2025-05-31T09:59:59Z", False),
        ("2025-06-01T00:00:00Z", "2025-05-31T10:00:00Z", True),
        ("2025-06-01T00:00:01Z", "2025-05-31T23:59:59Z", False),
        ("2025-06-01T12:00:00", "2025-05-31T22:00:00Z", True),
        ("2025-06-01T12:00:00", "2025-05-31T21:59:59Z", False),
    ],
)
def test_a_later_opt_out(judged, consented, opted_out, later):
    """A tie, and a date that the vendor does not report, favour the opt-out; midnight means any time of the day."""
    optouts = [OptOut("p0@example.com", Reason.UNSUBSCRIBED, opted_out), OptOut("x@example.com", Reason.BOUNCED)]
    ((state, moment),) = judged([consented], optouts=optouts)
    assert (state, moment is None) == (("opted_out_later", True) if later else ("with_proof", False))


@pytest.mark.parametrize("form", ["text with zone", "text", "timestamp with zone", "timestamp", "both"])
def test_no_consent_counts_that_may_be_older_than_the_opt_out(judged, tmp_path, form):
    """Consents of all zones, around an opt-out: a moment without a zone may be local time, so hours are in doubt."""
    rng = random.Random(form)
    true_s = [1_750_000_000 + rng.randrange(-30 * 3600, 30 * 3600) for _ in range(200)]
    hours = [rng.randrange(-12, 15) for _ in true_s]
    local = [
        datetime.fromtimestamp(at, timezone(timedelta(hours=hour))) for at, hour in zip(true_s, hours, strict=True)
    ]
    naive = [moment.replace(tzinfo=None) for moment in local]
    columns = {
        "text with zone": pa.array([moment.isoformat() for moment in local]),
        "text": pa.array([moment.isoformat() for moment in naive]),
        "timestamp with zone": pa.array([moment.astimezone(UTC) for moment in local], pa.timestamp("us", "UTC")),
        "timestamp": pa.array(naive, pa.timestamp("us")),
    }
    files = []
    if form == "both":
        other = {"email": ["q@example.com"], "consented_at": columns["timestamp with zone"][:1]}
        files = [written(tmp_path / "other.parquet", other)]
    opted_out = datetime.fromtimestamp(1_750_000_000, UTC)
    optouts = [OptOut(f"p{number}@example.com", Reason.UNSUBSCRIBED, opted_out.isoformat()) for number in range(200)]
    states = [state for state, _ in judged(columns.get(form, columns["timestamp"]), optouts=optouts, files=files)]
    is_later = [state == "with_proof" for state in states[:200]]
    assert [at for at, counts in zip(true_s, is_later, strict=True) if counts and at <= 1_750_000_000] == []
    clear = 0 if "with zone" in form else 28 * 3600
    assert all(counts for at, counts in zip(true_s, is_later, strict=True) if at - 1_750_000_000 > clear)
    assert set(is_later) == {True, False}


def test_the_latest_of_several_opt_outs_counts(judged):
    """An address may be listed in two spellings."""
    optouts = [OptOut("p0@example.com", Reason.UNSUBSCRIBED, f"202{year}-01-01T00:00:00Z") for year in (3, 5, 4)]
    assert judged(["2024-06-01T12:00:00Z"], optouts=optouts) == [("opted_out_later", None)]


def test_a_row_without_proof_has_no_part_of_it(judged):
    """Else the parts would count for its content."""
    judged(["2025-01-01", None, "2030-01-01"], columns={"source": ["a", "b", "c"], "user_agent": ["d", "e", "f"]})
    assert shared().rows("select proof_source, proof_user_agent from proven_rows order by row") == [
        ("a", "d"),
        (None, None),
        (None, None),
    ]


def test_parts_that_a_vendor_requires(judged):
    """One that is missing or has another form makes the proof incomplete; where it is not required, it is left out."""
    rule = ConsentProof(parts=TAKES_ALL.parts, required=frozenset({"source", "ip"}), source_is_url=True)
    columns = {
        "source": [
            "https://a.example/x?y=1",
            "app://signup",
            "www.a.example",
            "https://a b",
            "https://\u00e4.example",
            None,
        ],
        "ip": ["::1"] * 6,
    }
    states = [state for state, _ in judged(["2025-01-01T01:00:00Z"] * 6, rule, columns=columns)]
    assert states == ["with_proof"] * 2 + ["incomplete_proof"] * 4
    states = [state for state, _ in judged(["2025-01-01T01:00:00Z"] * 6, columns=columns)]
    assert states == ["with_proof"] * 6
