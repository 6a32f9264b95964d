"""Windows: one closed span of event time over all markets. What the feature groups hand to the detectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

OPEN_MAX = 60  # windows open at once: tables of a row for each of them, and one bit of a word


@dataclass(frozen=True, slots=True)
class Feature:
    """A number from a window: its name, its unit ('' = a count or a ratio) and what it means, for a tired person."""

    name: str
    unit: str
    meaning: str


def no_feature(name: str, known: Iterable[str], what: str = "feature") -> KeyError:
    """What to raise where nobody makes `name`, with what may be meant.

    >>> no_feature("liquidation", ("liquidations", "trades")).args[0]
    'no feature named liquidation; did you mean liquidations?'
    """
    near = get_close_matches(name, sorted(known), 1)
    return KeyError(f"no {what} named {name}" + (f"; did you mean {near[0]}?" if near else ""))


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """All markets over (close_ns - width_ns, close_ns].

    markets  (M) names, in the engine's order; rows never move, new markets are added at the end
    features (F)
    values   float64 (M, F), NaN = cannot say; quickest to read where columns lie in one piece (order "F")
    idle     nothing came from the whole source: time passed, nobody acted, so nothing is scored
    calm     bool (M), False while the market is in a planned phase (halt, auction, grace after re-open)
    fresh    bool (M), the market was seen before this window began (its first window is half seen)
    busy     bool (M), in a planned phase that brings bursts: nothing is learned, and more is needed to tell of it
    """

    close_ns: int
    width_ns: int
    markets: tuple[str, ...]
    features: tuple[Feature, ...]
    values: npt.NDArray[np.float64]
    calm: npt.NDArray[np.bool_]
    fresh: npt.NDArray[np.bool_]
    idle: bool = False
    busy: npt.NDArray[np.bool_] | None = None
    places: dict[str, int] = field(default_factory=dict, repr=False)  # of features; made when asked for and not given
    instead: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict, repr=False)  # columns put in their place

    @property
    def normal(self) -> npt.NDArray[np.bool_]:
        """bool (M): nothing that is known beforehand speaks against learning from it."""
        normal = self.calm & self.fresh & (not self.idle)
        return normal if self.busy is None else normal & ~self.busy

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """float64 (M): one feature over the markets. KeyError when no group makes it."""
        instead = self.instead.get(name)
        return self.values[:, self._place(name)] if instead is None else instead

    def with_column(self, name: str, column: npt.NDArray[np.float64]) -> Windows:
        """The same with another column (M) of one feature, which `column` then gives; `values` stay as they are.
        KeyError when no group makes it."""
        self._place(name)
        return Windows(
            self.close_ns, self.width_ns, self.markets, self.features, self.values, self.calm, self.fresh, self.idle,
            self.busy, self.places, {**self.instead, name: column},
        )  # fmt: skip

    def _place(self, name: str) -> int:
        if not self.places:
            self.places.update({feature.name: place for place, feature in enumerate(self.features)})
        place = self.places.get(name)
        if place is None:
            raise no_feature(name, self.places)
        return place

    def rows(self, rows: npt.NDArray[np.int64]) -> Windows:
        """The same of some markets only."""
        return replace(
            self,
            markets=tuple(self.markets[row] for row in rows.tolist()),
            values=self.values[rows],
            calm=self.calm[rows],
            fresh=self.fresh[rows],
            busy=None if self.busy is None else self.busy[rows],
            instead={name: column[rows] for name, column in self.instead.items()},
        )
