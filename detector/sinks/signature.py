"""Standard Webhooks signatures (standardwebhooks.com): who sent this, when, and that nobody changed a byte.

>>> secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
>>> sign((secret,), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from enum import StrEnum

PREFIX = "whsec_"
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64
TOLERANCE_S = 300  # a message older or newer than this is somebody's recording
SIGNATURES_MAX = 8  # looked at in one header


class Secret:
    """A signing key. Its repr, str and errors never show it."""

    def __init__(self, text: str) -> None:
        """`whsec_` and 24 to 64 bytes in base64; ValueError with a sentence otherwise."""
        try:
            self._key = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("a webhook secret is 'whsec_' and base64, this one is not") from None
        if not KEY_BYTES_MIN <= len(self._key) <= KEY_BYTES_MAX:
            raise ValueError(f"a webhook secret holds {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes, not {len(self._key)}")

    def mac(self, message: bytes) -> str:
        """base64 of its HMAC-SHA256."""
        return base64.b64encode(hmac.new(self._key, message, hashlib.sha256).digest()).decode()

    def __repr__(self) -> str:
        return "Secret(***)"


class Verdict(StrEnum):
    """What a receiver finds."""

    GENUINE = "genuine"
    INCOMPLETE = "a webhook-id, webhook-timestamp or webhook-signature header is missing or unreadable"
    STALE = "its timestamp is too far from now"
    FORGED = "no signature fits"


def sign(secrets: Sequence[Secret], key: str, timestamp_s: int, body: bytes) -> str:
    """The webhook-signature header: one signature a secret, so that a receiver may hold the old or the new one."""
    assert "." not in key, "a webhook-id with a dot could be moved into the timestamp"
    message = f"{key}.{timestamp_s}.".encode() + body
    return " ".join(f"v1,{secret.mac(message)}" for secret in secrets)


def verify(secrets: Sequence[Secret], headers: Mapping[str, str], body: bytes, now_s: float) -> Verdict:
    """Whether `body` came, just now, from somebody who knows one of the secrets. Compares in constant time."""
    key, stamp, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not key or not given or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return Verdict.INCOMPLETE
    if abs(now_s - int(stamp)) > TOLERANCE_S:
        return Verdict.STALE
    message = f"{key}.{stamp}.".encode() + body
    signatures = [part.removeprefix("v1,") for part in given.split(" ")[:SIGNATURES_MAX] if part.startswith("v1,")]
    for secret in secrets:
        mine = secret.mac(message).encode()
        if any(hmac.compare_digest(mine, signature.encode()) for signature in signatures):
            return Verdict.GENUINE
    return Verdict.FORGED
