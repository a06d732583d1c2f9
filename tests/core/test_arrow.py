"""Arrow columns made of buffers are those that pyarrow would have made."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segexport.storage.arrow import (
    bool_array,
    byte_lengths,
    int_array,
    raw_bytes,
    string_array,
    to_numpy,
)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=8), st.sampled_from(["", "é", "😀"])), max_size=20))
def test_texts(values):
    """Empty ones, missing ones, and letters of several bytes."""
    assert string_array(values).equals(pa.array(values, pa.string()))


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=20))
def test_switches(values):
    """A bit each, also beyond one byte."""
    assert bool_array(values).equals(pa.array(values, pa.bool_()))


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_integers(values):
    """All that 64 bits hold."""
    assert int_array(values).equals(pa.array(values, pa.int64()))


@pytest.mark.parametrize("cut", [slice(None), slice(1, 3), slice(2, 2), slice(4, 4)])
def test_a_stretch_of_texts(cut):
    """The texts of a slice, in several bytes a letter too, one behind the other."""
    texts_ = ["a,", "é,", "😀,", "d,"]
    assert "".join(texts_[cut]).encode() == bytes(raw_bytes(pa.array(texts_)[cut]))


def test_a_stretch_of_no_texts():
    """Arrow may leave out what would hold them."""
    assert b"" == bytes(raw_bytes(string_array([""]))) == bytes(raw_bytes(pa.array(["a"])[:0]))


@pytest.mark.parametrize("cut", [slice(None), slice(1, 3), slice(4, 4)])
def test_numbers_of_a_slice(cut):
    """A slice begins where it was cut."""
    column = pa.array([7, 8, 9, 2**64 - 1], pa.uint64())[cut]
    assert np.array(column.to_pylist(), np.uint64).tolist() == to_numpy(column, np.uint64).tolist()


@pytest.mark.parametrize("cut", [slice(None), slice(1, 3), slice(4, 4)])
def test_lengths_of_texts(cut):
    """In bytes; a slice begins where it was cut."""
    texts_ = ["a", "é", "😀", ""]
    assert [len(text.encode()) for text in texts_[cut]] == byte_lengths(pa.array(texts_)[cut]).tolist()
