"""A detector whose scale was changed between two starts begins anew; what it learned was of another statistic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detector.anomaly.streams import StreamDetector
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from tests.anomaly.test_conditioning import window


def made(**params: int) -> StreamDetector:
    config = of({"detectors": {"cancel_burst": params}})
    (found,) = (d for d in build_pipeline(config, pseudonym_key=b"k" * 32).detectors if d.name == "cancel_burst")
    assert isinstance(found, StreamDetector)
    return found


def age(found: StreamDetector) -> int:
    return int(np.array(found.state()["age"]).max(initial=0))


@pytest.mark.parametrize(
    ("params", "kept"),
    [({}, True), ({"memory_windows": 9000}, True), ({"sudden_windows": 30}, False), ({"burst_windows": 120}, False)],
)
def test_what_was_learned_at_another_scale_is_not_believed(params: dict[str, int], kept: bool) -> None:
    before = made()
    for number in range(20):
        before.score(window(number, {"cancels": 3.0, "acting_accounts": 5.0}), np.array([True]), ())
    after = made(**params)
    after.restore(before.state())
    assert age(before) > 0 and age(after) == (age(before) if kept else 0)


def test_a_state_of_before_scales_were_told_is_gone_on_from() -> None:
    before: Any = made()
    before.score(window(0, {"cancels": 3.0, "acting_accounts": 5.0}), np.array([True]), ())
    after = made(sudden_windows=30)
    after.restore({name: value for name, value in before.state().items() if name != "scales"})
    assert age(after) == age(before) > 0
