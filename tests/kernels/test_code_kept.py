"""Where machine code is kept: two processes that start at once clear the same folders."""

from __future__ import annotations

import os
from pathlib import Path

from detector.kernels.code import CACHES_MAX, YOUNG_S, _forget_old


def aged(folder: Path, days: int) -> Path:
    folder.mkdir()
    long_ago = folder.stat().st_mtime - 86_400.0 * days - 2.0 * YOUNG_S
    os.utime(folder, (long_ago, long_ago))
    return folder


def test_the_newest_folders_stay_and_young_ones(tmp_path: Path) -> None:
    made = [aged(tmp_path / f"detector.one-{days}", days) for days in range(CACHES_MAX + 2)]
    other = aged(tmp_path / "detector.other-9", 9)
    young = [tmp_path / f"detector.two-{number}" for number in range(CACHES_MAX + 2)]
    for folder in young:
        folder.mkdir()
    for module in ("detector.one", "detector.two"):
        _forget_old(tmp_path, module)
    assert [folder.exists() for folder in made] == [True] * CACHES_MAX + [False] * 2
    assert other.exists() and all(folder.exists() for folder in young)


def test_a_folder_that_another_process_has_just_cleared_is_no_error(tmp_path: Path) -> None:
    made = [aged(tmp_path / f"detector.one-{days}", days) for days in range(CACHES_MAX + 2)]

    class Listed(type(tmp_path)):  # type: ignore[misc]
        def glob(self, pattern: str) -> list[Path]:  # type: ignore[override]
            return [*made, tmp_path / "detector.one-gone"]

    _forget_old(Listed(tmp_path), "detector.one")
    assert [folder.exists() for folder in made] == [True] * CACHES_MAX + [False] * 2
