"""Failed stores and damaged files: the run's error names each for what it is."""

from __future__ import annotations

import base64
import decimal
import errno

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from core.factories import cleaned, inspected, shared, values, written
from core.faulty_files import FaultyPlace, reading

from airflow_provider_segexport.errors import InvalidSegment, RetryableError
from airflow_provider_segexport.stages import read
from airflow_provider_segexport.storage.errors import translate_error

D = decimal.Decimal


class ClientError(Exception):
    """As botocore's, which is no OSError."""

    def __init__(self, status):
        super().__init__("https://signed.example/?key=secret")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


class HttpError(OSError):
    """As gcsfs has it: without a number of the system's."""

    def __init__(self, code):
        super().__init__(f"{code} from the store")
        self.code = code


PASSES = [
    OSError(errno.EIO, "io"),
    OSError(errno.ESTALE, "stale"),
    OSError(errno.EBUSY, "slow down"),
    TimeoutError(),
    ConnectionResetError(),
    ClientError(503),
    ClientError(500),
    HttpError(503),
    HttpError(429),
    OSError("read failed"),
    RuntimeError("session closed"),
]
STAYS = [
    (PermissionError(errno.EACCES, "no"), "Permission denied"),
    (ClientError(403), "Permission denied"),
    (HttpError(401), "Permission denied"),
    (OSError("Forbidden: https://storage"), "Permission denied"),
    (type("NoCredentialsError", (Exception,), {})(), "Permission denied"),
    (FileNotFoundError(errno.ENOENT, "gone"), "does not exist any more"),
    (ClientError(404), "does not exist any more"),
    (IsADirectoryError(errno.EISDIR, "folder"), "cannot be opened"),
]


@pytest.mark.parametrize("reads", [-1, 0])
@pytest.mark.parametrize("error", PASSES, ids=repr)
def test_a_failed_read_is_tried_again(tmp_path, error, reads):
    """While a file is opened or its footer is read; the store's own text, which may hold a key, stays out."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"] * 50_000}, use_dictionary=False)
    with pytest.raises(RetryableError, match=r"x\.parquet could not be read") as caught:
        read.read_schemas([(FaultyPlace(path, error, reads), str(path))], ["email"])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("error", "text"), STAYS, ids=repr)
def test_a_right_or_a_file_that_is_missing_is_final(tmp_path, error, text):
    """Another attempt meets the same refusal, so a person has to act."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"]})
    for reads in (-1, 0):
        with pytest.raises(InvalidSegment, match=rf"x\.parquet .*{text}") as caught:
            read.read_schemas([(FaultyPlace(path, error, reads), str(path))], ["email"])
        assert "To fix" in str(caught.value)


def test_a_cause_behind_an_error_counts():
    """Libraries wrap what their clients raise."""
    error = OSError(errno.EIO, "wrapped")
    error.__cause__ = ClientError(403)
    assert "Permission denied" in str(translate_error(error, "x"))


def test_a_store_that_fails_while_rows_are_read_is_tried_again(tmp_path, monkeypatch):
    """The second, careful reading meets the store's own error."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"]})

    def fail(*_):
        raise OSError(errno.ESTALE, "stale")

    with pytest.raises(RetryableError, match=r"x\.parquet could not be read \(Stale"), reading([path]):
        fails_in_the_engine(monkeypatch, path, fail)


def fails_in_the_engine(monkeypatch, path, fail):
    """The engine fails, and from then on the path does."""
    monkeypatch.setattr(type(path), "open", fail)
    shared().rows("select * from read_parquet('/nowhere/at/all.parquet')")


def test_an_error_that_does_not_come_again_is_tried_again(tmp_path):
    """Where each file can be read on its own, the fault has passed."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"]})
    with pytest.raises(RetryableError, match="could be read when it was tried again"), reading([path]):
        shared().rows("select * from read_parquet('/nowhere/at/all.parquet')")


@pytest.mark.parametrize("fault", ["utf8", "page"])
@pytest.mark.parametrize("suppressed", [False, True])
def test_the_file_at_fault_is_named(tmp_path, fault, suppressed):
    """If there are many files, the error names the damaged one; no value is quoted."""
    paths = [written(tmp_path / f"part-{n:02}.parquet", {"email": [f"p{n}@example.com"]}) for n in range(45)]
    bad = tmp_path / "part-39.parquet"
    if fault == "utf8":
        raw = pa.array([b"jane.secret\xff@example.com"], pa.binary())
        text = pa.Array.from_buffers(pa.string(), 1, raw.buffers())
        written(bad, pa.Table.from_arrays([text], names=["email"]))
    else:
        written(bad, {"email": [f"person{n}@example.com" for n in range(5000)]}, use_dictionary=False)
        content = bytearray(bad.read_bytes())
        content[2000:2600] = bytes(byte ^ 0x5A for byte in content[2000:2600])
        bad.write_bytes(content)
    segment, suppression = ([path for path in paths if path != bad], [(bad, str(bad))]) if suppressed else (paths, [])
    sql = f"select email from read_parquet('{bad}')"
    with pytest.raises(InvalidSegment, match=r"part-39") as caught, reading(segment, suppression) as rows:
        rows() if not suppressed else shared().rows(sql)
    assert ("UTF-8" if fault == "utf8" else "page is damaged") in str(caught.value)
    assert "jane" not in str(caught.value)
    assert "part-00" not in str(caught.value)


class Kms(pe.KmsClient):
    """Keys in clear, for a test."""

    def wrap_key(self, key, _):
        return base64.b64encode(key)

    def unwrap_key(self, key, _):
        return base64.b64decode(key)


@pytest.mark.parametrize(("plain_footer", "column"), [(False, "email"), (False, "other"), (True, "email")])
def test_an_encrypted_file_is_called_so(tmp_path, plain_footer, column):
    """With an encrypted footer, or with encrypted columns under a footer in clear."""
    path = tmp_path / "x.parquet"
    settings = pe.EncryptionConfiguration(
        footer_key="f", column_keys={"c": [column]}, plaintext_footer=plain_footer, double_wrapping=False
    )
    keys = pe.CryptoFactory(lambda _: Kms()).file_encryption_properties(pe.KmsConnectionConfig(), settings)
    table = pa.table({"email": ["a@example.com"], "other": [1]})
    with pq.ParquetWriter(path, table.schema, encryption_properties=keys) as writer:
        writer.write_table(table)
    with pytest.raises(InvalidSegment, match=r"x\.parquet is encrypted.*To fix"), reading([path]) as rows:
        rows()


OUTSIDE = {
    "a time": (pa.array([2**62], pa.timestamp("ms")), {}),
    **({"JSON": (pa.array(["{"], pa.json_()), {})} if hasattr(pa, "json_") else {}),  # from pyarrow 19
    "an encoding": (
        pa.array([D("1.5")], pa.decimal128(20, 2)),
        {"use_dictionary": False, "column_encoding": {"email": "PLAIN", "n": "BYTE_STREAM_SPLIT"}},
    ),
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_a_column_that_the_engine_cannot_read_is_named(tmp_path, what):
    """The author changes that column; a newer writer would write the same."""
    column, options = OUTSIDE[what]
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"], "n": column}, **options)
    with pytest.raises(InvalidSegment, match=r"Column 'n' of .*x\.parquet cannot be read.*To fix"):
        plan_rows(path)


def plan_rows(path):
    """The rows of a file with a custom field, as planning reads them."""
    files = inspected(path, wanted=["email", "n"])
    with read.translate_read_errors(files), cleaned(path, note="n") as (sql, _):
        values(sql, "custom_0")


def test_a_footer_whose_counts_of_rows_differ_is_damaged(tmp_path):
    """Two rows would have one number."""
    path = written(tmp_path / "x.parquet", {"email": [f"p{number}@example.com" for number in range(5)]})
    body, five, four = path.read_bytes(), b"\x16\x0a\x19", b"\x16\x08\x19"
    at = body.index(five)
    path.write_bytes(body[:at] + four + body[at + 3 :])
    with pytest.raises(InvalidSegment, match=r"x\.parquet is damaged: its footer counts 4 rows, .* 5\. To fix"):
        inspected(path)


def test_a_type_that_arrow_does_not_read_is_no_damage(tmp_path):
    """Polars writes integers of 128 bits; the file is whole."""
    pl = pytest.importorskip("polars")
    columns = {"email": ["a@example.com"], "n": pl.Series([1], dtype=pl.Int128)}
    pl.DataFrame(columns).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(
        InvalidSegment, match=r"x\.parquet has a column, mapped or not, that cannot be read.*128 bits.*To fix"
    ):
        inspected(tmp_path / "x.parquet")


def test_a_codec_that_is_not_supported_is_no_damage(tmp_path):
    """Old clusters write LZO; the codec is a byte of the footer, behind the column's name."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"], "n": ["x"]})
    path.write_bytes(path.read_bytes().replace(b"\x01n\x15\x02", b"\x01n\x15\x06"))
    with pytest.raises(InvalidSegment, match=r"x\.parquet has a mapped column that cannot be read.*LZO.*To fix"):
        plan_rows(path)


def test_a_column_name_that_is_not_utf8(tmp_path):
    """Arrow cannot name such a column."""
    path = written(tmp_path / "x.parquet", {"email": ["a"], "nXXXm": [1]}, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"nXXXm", b"n\xff\xfe\xffm"))
    with pytest.raises(InvalidSegment, match="name is not UTF-8"):
        inspected(path)
