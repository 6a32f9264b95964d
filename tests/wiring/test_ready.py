"""Getting ready says how far it is, and knows whether machine code is there from before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from detector.kernels.code import is_kept
from detector.wiring import ready as room
from detector.wiring.config import Configuration, of


def test_a_long_start_says_how_many_loops_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SAY_EVERY_S", 0.01)
    monkeypatch.setattr(room, "is_kept", lambda module: True)

    def slow(config: Configuration, *, opinion: bool) -> None:
        time.sleep(0.2)

    monkeypatch.setattr(room, "warm", slow)
    said: list[str] = []
    took_s = room.ready(of({}), said.append)
    assert took_s >= 0.2 and said
    assert all(" loops are ready, " in line for line in said)


def test_machine_code_of_another_folder_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not is_kept("detector.formats.native_fast")
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "native_fast.fold-1.py311.nbi").write_bytes(b"")
    assert is_kept("detector.formats.native_fast")
