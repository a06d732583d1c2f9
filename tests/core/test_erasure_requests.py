"""The file of people to erase: read in every common form, and refused where a person might be missed."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_segexport.errors import InvalidArgument, InvalidSegment
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.requests import read_people
from airflow_provider_segexport.storage.paths import local_path

JANE, BOB = Person.of("jane@example.com"), Person.of("bob@example.com")


@pytest.fixture
def people(tmp_path):
    """A function that returns the people of a file with some content."""

    def read(content, name="requests.txt"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            pq.write_table(content, path)
        return read_people(local_path(str(path)))

    return read


@pytest.mark.parametrize(
    "content",
    [
        b"jane@example.com\nbob@example.com",
        b"jane@example.com\r\nbob@example.com\r\n",
        b"jane@example.com\rbob@example.com\r",
        b"\xef\xbb\xbfJane@Example.com\n\n  \n\xc2\xa0\nbob@example.com\n\xe2\x80\x8b\n",
        b"Jane <jane@example.com>\nmailto:bob@example.com\njane@example.com\n",
        pa.table({"email": ["jane@example.com", None, "bob@example.com", ""], "name": [1, 2, 3, 4]}),
        pa.table({"email": pa.array(["jane@example.com", "bob@example.com"]).dictionary_encode()}),
    ],
)
def test_each_person_is_read_once(people, content):
    """Whatever ends the lines, and whatever the file's name says."""
    assert people(content) == [JANE, BOB]


@pytest.mark.parametrize("content", [b"", b"\n\r\n", b"\xef\xbb\xbf", pa.table({"email": pa.array([], pa.string())})])
def test_a_file_without_an_address_names_no_person(people, content):
    """On many days no person asks."""
    assert people(content) == []


def test_an_address_that_cannot_be_sent_is_a_request(people):
    """Rejected rows hold such addresses."""
    assert people("jane@@example..com\nüwe@example.com".encode()) == [
        Person.of("jane@@example..com"),
        Person.of("üwe@example.com"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "email",
        "jane@example.com,Jane",
        "Jane;jane@example.com",
        '"jane@example.com"',
        "jane@example.com, bob@example.com",
        "jane@example.com bob@example.com",
        "jane@example.com\u2028bob@example.com",
        "jane@example.com\tJane",
        "j\0a\0n\0e\0@\0x\0",
        "5a1f",
    ],
)
def test_a_line_with_anything_but_an_address_is_refused_by_its_number(people, line):
    """It would count as another person, of which there is no record, and the receipt would say that all was erased."""
    with pytest.raises(InvalidArgument, match=r"alone: 2\. No person was erased\. To fix: ") as refused:
        people(f"bob@example.com\n{line}\n".encode())
    assert "jane" not in str(refused.value)


def test_many_lines_are_counted(people):
    """The error stays short."""
    with pytest.raises(InvalidArgument, match=r"has 1,000 lines .*: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 990 more\."):
        people(b"none\n" * 1000)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("jané@example.com".encode("latin-1"), "r.txt", "is neither UTF-8 text nor Parquet"),
        ("jane@example.com".encode("utf-16"), "r.txt", "is neither UTF-8 text nor Parquet"),
        (b"PAR1 and no more", "r.txt", "cannot be read as Parquet"),
        (b"jane@example.com", "r.parquet", "cannot be read as Parquet"),
        (pa.table({"Email": ["jane@example.com"]}), "r.parquet", "has no column `email`"),
        (pa.table({"email": pa.array([["jane@example.com"]])}), "r.parquet", "cannot be read as Parquet"),
        (pa.table({"email": pa.array([b"\xff"])}), "r.parquet", "cannot be read as Parquet"),
        (None, "none.txt", "none.txt does not exist"),
        (None, "x" * 300, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(people, content, name, message):
    """The error says why, quotes nothing of it, and no retry is made."""
    with pytest.raises(InvalidArgument, match=f"{message}.*To fix: ") as refused:
        people(content, name)
    assert "jan" not in str(refused.value)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_refused(tmp_path, make):
    """A folder, a pipe, and a link to itself."""
    make(tmp_path / "requests.txt")
    with pytest.raises(InvalidArgument, match=r"cannot be read: .*To fix: "):
        read_people(local_path(str(tmp_path / "requests.txt")))


def test_a_person_is_no_text_that_is_not_utf8():
    """A terminal of another character set passes such texts."""
    with pytest.raises(InvalidSegment, match="it is not UTF-8"):
        Person.of("jan\udce9@example.com")
