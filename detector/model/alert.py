"""Alert: what somebody is told. The webhook body, the Kafka value and the line of --alerts are this object."""

from __future__ import annotations

from typing import Any

import msgspec


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """The contract's section 2. `data` holds the incident's fields in the contract's order.

    key        "inc_..._SEQ": the notification's identity, the same on every retry, restart and replay
    """

    key: str
    type: str
    timestamp: str
    data: dict[str, Any]

    def body(self) -> bytes:
        """The JSON that travels: type, timestamp, data; never the key, which travels as webhook-id."""
        return msgspec.json.encode({"type": self.type, "timestamp": self.timestamp, "data": self.data})
