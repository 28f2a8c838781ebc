"""The watched folder: a file is taken when it is whole, and moved with its protocol."""

import os
import time
from pathlib import Path

import pytest

from actors.register_watch import watch_inbox
from tests.registers.stage import ANNA, SIZE_BYTES_MAX, BankLine, Stage, bank_file

LATER = 60.0
"""Seconds after which every file of a test has not changed for long enough."""


async def _pass(stage: Stage, wait_s: float = LATER) -> list[str]:
    ended = await watch_inbox(stage.place, stage.folder / "inbox", SIZE_BYTES_MAX, time.time() + wait_s)
    return [file.state for file in ended]


def _put(stage: Stage, name: str, content: bytes, folder: str = "bank") -> Path:
    path = stage.folder / "inbox" / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def test_a_good_register_is_taken_and_moved_with_its_protocol(stage: Stage) -> None:
    path = _put(stage, "15.txt", bank_file(BankLine(operation="1")))
    assert await _pass(stage) == ["done"]
    assert not path.exists()
    (moved,) = path.parent.glob("done/*-15.txt")
    assert moved.read_bytes() == bank_file(BankLine(operation="1"))
    (protocol_path,) = path.parent.glob("done/*.protocol.txt")
    protocol = protocol_path.read_text()
    assert "онлайн не приходило, принято по реестру: 1 на 1 500,00" in protocol.replace("\u00a0", " ")
    assert await stage.balance(ANNA) == 150_000
    assert await _pass(stage) == []


async def test_a_bad_register_is_moved_aside_with_what_is_wrong(stage: Stage) -> None:
    path = _put(stage, "15.txt", bank_file(BankLine(operation="1"), count=7))
    assert await _pass(stage) == ["refused"]
    (protocol,) = path.parent.glob("refused/*-15.txt.protocol.txt")
    assert "строка 2" in protocol.read_text()


async def test_a_file_that_is_still_being_written_is_left_alone(stage: Stage) -> None:
    path = _put(stage, "15.txt", bank_file(BankLine(operation="1"))[:50])
    os.utime(path, (0, 0))  # As a sender may, who keeps the times of its own file.
    assert await _pass(stage, wait_s=0) == []
    path.write_bytes(bank_file(BankLine(operation="1")))
    assert await _pass(stage) == ["done"]


@pytest.mark.parametrize("name", ["15.txt.part", "15.tmp", ".15.txt", "15.txt.FILEPART"])
async def test_a_file_under_a_temporary_name_waits_to_be_renamed(stage: Stage, name: str) -> None:
    path = _put(stage, name, bank_file(BankLine(operation="1")))
    assert await _pass(stage) == []
    path.rename(path.parent / "15.txt")
    assert await _pass(stage) == ["done"]


async def test_a_folder_of_nobody_and_foreign_links_are_left_alone(stage: Stage) -> None:
    stranger = _put(stage, "15.txt", bank_file(BankLine(operation="1")), folder="stranger")
    loose = stage.folder / "inbox" / "loose.txt"
    loose.write_bytes(b"x")
    (stage.folder / "inbox" / "bank").mkdir()
    (stage.folder / "inbox" / "bank" / "link.txt").symlink_to(stranger)
    assert await _pass(stage) == []
    assert stranger.exists()
    assert loose.exists()


async def test_what_the_shards_cannot_take_now_stays_for_the_next_time(stage: Stage) -> None:
    path = _put(stage, "15.txt", bank_file(BankLine(operation="1")))
    inbox = stage.folder / "inbox"
    assert await watch_inbox(stage.place_without_shards(), inbox, SIZE_BYTES_MAX, time.time() + LATER) == []
    assert path.exists()
    assert await _pass(stage) == ["done"]


async def test_the_same_content_again_is_moved_with_the_first_result(stage: Stage) -> None:
    content = bank_file(BankLine(operation="1"))
    _put(stage, "first.txt", content)
    await _pass(stage)
    path = _put(stage, "again.txt", content)
    assert await _pass(stage) == ["done"]
    one, two = sorted(path.parent.glob("done/*.protocol.txt"))
    assert one.read_text() == two.read_text()
    assert await stage.balance(ANNA) == 150_000


async def test_a_missing_inbox_is_an_empty_one(stage: Stage) -> None:
    assert await _pass(stage) == []
