"""What a score would be without a feature, from the detectors themselves; and that shares are an exact split."""

from __future__ import annotations

import numpy as np
import pytest

from detector.incidents.crossings import by_market
from tests.anomaly.test_contract import NAMES, detectors, step, windows


@pytest.mark.parametrize("position", range(len(NAMES)), ids=NAMES)
def test_without_its_top_feature_a_score_is_lower_and_no_other_feature_costs_it_more(position: int) -> None:
    generator = np.random.default_rng(8)
    chain = detectors()
    crossed = 0
    for number in range(900):
        score = step(chain, windows(number, generator, burst=number >= 880))[position]
        for market in np.flatnonzero(score.values >= score.levels[0]).tolist():
            rows = score.explain(market)
            assert 0.0 <= rows[0].without <= score.values[market] + 1e-9
            if NAMES[position] != "drift":
                assert rows[0].without == min(row.without for row in rows)
            crossed += 1
    assert crossed or NAMES[position] in ("drift", "thin_book", "feed")


def test_a_burst_of_one_stream_alone_would_not_have_paged_without_it() -> None:
    generator = np.random.default_rng(8)
    chain = detectors()
    for number in range(905):
        window = windows(number, generator)
        if number >= 900:
            names = [feature.name for feature in window.features]
            window.values[2, names.index("cancels")] *= 16.0
        scores = step(chain, window)
    (found,) = by_market(scores[:1])["m2"]
    top = found.evidence()[0]
    assert top.feature == "cancels"
    assert top.without < top.level <= found.value
