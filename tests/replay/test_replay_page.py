"""The labels that docs/replay.md shows are labels, and its defaults the command's."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from detector.cli.replay import command
from replay.labels import read_labels

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text("utf-8")


def test_the_page_s_labels_are_read() -> None:
    (told,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    fall, news = read_labels(told.encode())
    assert (fall.markets, fall.benign) == (("BTC-PERP",), False) and (news.markets, news.benign) == ((), True)


def test_the_page_s_defaults_are_the_command_s() -> None:
    told = inspect.signature(command).parameters
    assert (told["early"].default, told["grace"].default) == (600.0, 600.0) and PAGE.count("(600)") == 2
