"""Standing: which markets are in their normal state in a window, by what they said of themselves."""

from __future__ import annotations

from typing import Any

from detector.kernels import kernel
from detector.model.events import StatusCode

_HALTED, _AUCTION = int(StatusCode.HALTED), int(StatusCode.AUCTION)


@kernel
def stand(markets: Any, window: Any, close_ns: Any, calm: Any, fresh: Any) -> Any:
    """calm, fresh bool (M), written: neither halted nor in an auction nor lately so; seen before `window` began.
    markets MARKET (at least M)."""
    for m in range(len(calm)):
        market = markets[m]
        status = market["status"]
        calm[m] = status != _HALTED and status != _AUCTION and market["restless_ns"] < close_ns
        fresh[m] = 0 <= market["first_window"] < window
