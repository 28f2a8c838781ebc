"""The archive keeps a file whole, once, under the hash of its content, or leaves nothing."""

import hashlib
import io
from pathlib import Path

import pytest

from storage.archive import Archive


def test_a_file_is_kept_under_the_hash_of_its_content(tmp_path: Path) -> None:
    kept = Archive(tmp_path).keep(io.BytesIO("реестр".encode()), 100)
    assert kept == (hashlib.sha256("реестр".encode()).hexdigest(), 12)
    assert Archive(tmp_path).path(kept.sha256).read_text() == "реестр"


def test_the_same_content_is_kept_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    assert archive.keep(io.BytesIO(b"a"), 10) == archive.keep(io.BytesIO(b"a"), 10)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_file_too_large_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="larger than 3 bytes"):
        Archive(tmp_path).keep(io.BytesIO(b"1234"), 3)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
