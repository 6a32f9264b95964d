"""Getting ready says how far it is, and knows whether machine code is there from before."""

from __future__ import annotations

import os
import stat
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from detector.kernels import code
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
    code._caches.cache_clear()
    assert not is_kept("detector.formats.native_fast")
    for folder, kept in (
        ("formats", False),
        (code._folder(version("numba"), "detector.formats.native_fast").name, True),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "native_fast.fold-1.py311.nbi").write_bytes(b"")
        assert is_kept("detector.formats.native_fast") == kept, "of another version, or of ours"
    code._caches.cache_clear()


@pytest.mark.parametrize("others", [False, True])
def test_where_nothing_can_be_written_machine_code_is_kept_for_this_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    """Installed read-only, without a home; and what lies under that name may be somebody else's."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr(code.os, "access", lambda path, mode: False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    if others:
        (tmp_path / f"foreshock-kernels-{os.geteuid()}").mkdir(mode=0o777)
        (tmp_path / f"foreshock-kernels-{os.geteuid()}").chmod(0o777)
    code._caches.cache_clear()
    found = code._caches()
    code._caches.cache_clear()
    assert found.parent == tmp_path and stat.S_IMODE(found.stat().st_mode) == 0o700
    assert (found.name == f"foreshock-kernels-{os.geteuid()}") != others
