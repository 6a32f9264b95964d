"""Two detectors for streams, written here in blocks after their papers: PySAD's take a point at a time, 57 and 239 us
each. LODA (Pevny, Machine Learning 2016) and xStream (Manzoor, Lamba, Akoglu, KDD 2018).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.peer_scores import LEARN_SAMPLES, Samples, Scores, standardised

PROJECTIONS, BINS = 100, 40
CHAINS, DEPTH, SKETCH = 25, 10, 30
WINDOW = 720  # samples of one reference window


def loda(values: Samples, names: tuple[str, ...]) -> Scores:
    """Mean -ln density over sparse random projections, each a histogram that never forgets (as in PySAD)."""
    dice = np.random.default_rng(11)
    z = _settled(values)
    features = z.shape[2]
    weights = np.zeros((features, PROJECTIONS))
    for k in range(PROJECTIONS):
        used = dice.permutation(features)[: max(1, round(features**0.5))]
        weights[used, k] = dice.standard_normal(len(used))
    told = np.full(z.shape[:2], np.nan)
    for market in range(z.shape[1]):
        seen = z[:, market] @ weights
        low, high = seen[:LEARN_SAMPLES].min(axis=0), seen[:LEARN_SAMPLES].max(axis=0)
        width = np.maximum((high - low) / (BINS - 2), 1e-9)
        place = np.clip((seen - low) / width + 1.0, 0.0, BINS - 1.0).astype(np.int64)  # beyond either end: the last bin
        hot = np.zeros((len(seen), PROJECTIONS, BINS), np.float32)
        np.put_along_axis(hot, place[:, :, None], 1.0, axis=2)
        counts = np.cumsum(hot, axis=0)
        now = np.take_along_axis(counts, place[:, :, None], axis=2)[:, :, 0] - 1.0  # scored, then learned
        total = np.arange(len(now))[:, None]
        surprise = -np.log((now + 0.5) / (total + 0.5 * BINS)).mean(axis=1)
        told[LEARN_SAMPLES:, market] = surprise[LEARN_SAMPLES:]
    return told


def xstream(values: Samples, names: tuple[str, ...]) -> Scores:
    """Half-space chains over sparse projections, counts of the window before; the least density over depths counts."""
    dice = np.random.default_rng(12)
    z = _settled(values)
    signs = dice.choice([-1.0, 0.0, 0.0, 1.0], (z.shape[2], SKETCH)) * np.sqrt(2.0 / SKETCH)
    told = np.full(z.shape[:2], np.nan)
    for market in range(z.shape[1]):
        seen = z[:, market] @ signs
        first = seen[:LEARN_SAMPLES]
        spread = np.maximum((first.max(axis=0) - first.min(axis=0)) / 2.0, 1e-6)
        score = np.zeros(len(seen))
        for _ in range(CHAINS):
            score += _chain(seen, spread, dice)
        told[LEARN_SAMPLES:, market] = score[LEARN_SAMPLES:] / CHAINS
    return told


def _settled(values: Samples) -> Samples:
    """z as of peer_scores.standardised; the first two hours by their own mean and deviation, to be learned from."""
    first = values[60:LEARN_SAMPLES]
    z = standardised(values)
    z[:LEARN_SAMPLES] = (values[:LEARN_SAMPLES] - first.mean(axis=0)) / np.sqrt(first.var(axis=0) + 1e-6)
    return np.asarray(np.clip(np.nan_to_num(z), -20.0, 20.0))


def _chain(
    seen: npt.NDArray[np.float64], spread: npt.NDArray[np.float64], dice: np.random.Generator
) -> npt.NDArray[np.float64]:
    """-log2 of the extrapolated count min over depth d of 2^d n_d, each sample against the window before its own."""
    chosen = dice.integers(0, seen.shape[1], DEPTH)
    shift = dice.random(seen.shape[1]) * spread
    bins = np.zeros(seen.shape)
    visits = np.zeros(seen.shape[1], int)
    word = np.zeros(len(seen), np.uint64)
    least = np.full(len(seen), np.inf)
    for depth, feature in enumerate(chosen.tolist(), start=1):
        if visits[feature] == 0:
            bins[:, feature] = (seen[:, feature] + shift[feature]) / spread[feature]
        else:
            bins[:, feature] = 2.0 * bins[:, feature] - shift[feature] / spread[feature]
        visits[feature] += 1
        cell = np.floor(bins[:, feature]).astype(np.int64).astype(np.uint64)
        word = (word ^ (cell + np.uint64(feature * 1_000_003))) * np.uint64(0x9E3779B97F4A7C15)
        for at in range(WINDOW, len(seen), WINDOW):
            before = np.sort(word[at - WINDOW : at])
            now = word[at : at + WINDOW]
            count = np.searchsorted(before, now, side="right") - np.searchsorted(before, now, side="left")
            least[at : at + WINDOW] = np.minimum(least[at : at + WINDOW], 2.0**depth * (count + 1.0))
    return np.asarray(-np.log2(least))
