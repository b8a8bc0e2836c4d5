import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.engine.seal import refuse_damaged, seal


@given(content=st.binary(max_size=100))
def test_what_was_sealed_is_followed_by_its_sha_256(content):
    file = io.BytesIO()
    file.write(content)
    seal(file)
    assert file.getvalue() == content + b"vitlab sha256 " + hashlib.sha256(content).digest()


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / "file"
    with path.open("w+b") as file:
        file.write(b"content")
        seal(file)
    return path


def test_a_whole_file_passes(sealed):
    refuse_damaged(sealed)


@pytest.mark.faults
def test_every_flipped_bit_and_every_cut_is_refused(sealed):
    whole = sealed.read_bytes()
    damaged = [whole[:end] for end in range(len(whole))]
    for at in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        damaged.append(bytes(flipped))
    for content in damaged:
        sealed.write_bytes(content)
        with pytest.raises(ValueError, match="it is not what was written: cut off or damaged"):
            refuse_damaged(sealed)
