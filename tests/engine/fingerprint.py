"""Prints a digest of everything a story's fold gives; run twice, with kernels compiled and as plain Python."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from detector.kernels import COMPILED
from tests.engine.story import Story, assigned, pipeline


def fingerprint(seed: int) -> str:
    """Of every window's values and every score of a small story."""
    story = Story(seed, markets=("A", "B")).busy(75, rate=10).burst("B", 70.0, 60)
    engine = assigned(pipeline(), story)
    steps = [engine.step([batch]) for batch in story.batches([200])]
    steps.append(engine.finish())
    digest = blake2b(digest_size=16)
    for step in steps:
        for scored in step.scored:
            digest.update(np.round(scored.windows.values, 9).tobytes())
            for score in scored.scores:
                digest.update(np.round(score.values, 9).tobytes())
    saved = engine.beside.state()["circumstances"]
    assert isinstance(saved, dict)
    for name in ("now", "usual", "mean", "spread"):
        digest.update(np.round(np.nan_to_num(np.asarray(saved[name], np.float64)), 6).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        print("compiled" if COMPILED else "python", fingerprint(5))
