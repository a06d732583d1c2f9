"""A file's checksum is found and computed in chunks; the result is the one of the whole content."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage import sealing
from airflow_provider_segexport.storage.paths import local_path


@given(
    content=st.lists(st.sampled_from([b"segexport-crc32:", b"segexport-", b"crc32:", b"x"])), size=st.integers(1, 20)
)
def test_the_last_placeholder_is_found_wherever_chunks_end(content, size):
    """Also one that lies in two chunks, and in chunks shorter than itself."""
    text = b"".join(content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sealing, "CHUNK_BYTES", size)
        assert text.rfind(sealing.TAG) == sealing._last_position(io.BytesIO(text), sealing.TAG)


@pytest.mark.parametrize("size", [1, 7, 24, 1000])
def test_a_sealed_file_is_verified_and_any_change_is_found(tmp_path, monkeypatch, size):
    """The checksum covers the bytes before and after it, and the context."""
    monkeypatch.setattr(sealing, "CHUNK_BYTES", size)
    file = tmp_path / "x.parquet"
    content = b"PAR1 rows " + sealing.EMPTY + b" footer PAR1"
    file.write_bytes(content)
    sealing.seal(file, "run")
    sealed = file.read_bytes()
    assert sealed == content.replace(sealing.EMPTY, sealing.TAG + b"%08x" % zlib.crc32(content, zlib.crc32(b"run")))
    sealing.verify(local_path(str(file)), "run")
    with pytest.raises(DamagedState):
        sealing.verify(local_path(str(file)), "another run")
    for at in range(len(sealed)):
        file.write_bytes(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
        with pytest.raises(DamagedState):
            sealing.verify(local_path(str(file)), "run")
