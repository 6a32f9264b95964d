"""Venue: cancels that no account decided on: expired orders, self-trades, liquidations, what the venue clears."""

from __future__ import annotations

from typing import Any

from detector.kernels import inlined
from detector.model.events import CancelCode, Kind

_CANCEL, _USER, _SELF_TRADE = int(Kind.CANCEL), int(CancelCode.USER), int(CancelCode.SELF_TRADE)


@inlined
def by_venue(event: Any) -> Any:
    """The venue took the order away, not its owner. A feed that gives no reasons never says so."""
    return event["kind"] == _CANCEL and event["code"] != _USER


@inlined
def met_itself(event: Any) -> Any:
    """The owner's own order met it: as good as traded, but that the venue trades nobody with himself."""
    return event["kind"] == _CANCEL and event["code"] == _SELF_TRADE
