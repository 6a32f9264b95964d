"""Webhook: the alert as a signed POST, by the Standard Webhooks rules."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from detector.sinks.base import Parcel
from detector.sinks.http import TIMEOUT_S, HttpSink
from detector.sinks.signature import Secret, sign


class Webhook(HttpSink):
    """For anything of one's own: `webhook-id` is the alert's identity on every attempt, so a receiver that has seen it
    says 200 and does nothing. During a rotation both secrets sign. `foreshock webhook listen` is a receiver to copy,
    docs/webhooks.md what one may rely on.

    >>> Webhook("oncall", url="https://hooks.example/T00/secret", secrets=["whsec_" + "c2VjcmV0" * 4])
    Webhook('oncall', https://hooks.example)
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        secrets: Sequence[str],
        allow_http: bool = False,
        allow_cidrs: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """secrets: one, or two during a rotation. ValueError with a sentence when something cannot be used."""
        super().__init__(name, url=url, allow_http=allow_http, allow_cidrs=allow_cidrs, timeout_s=timeout_s)
        if not 1 <= len(secrets) <= 2:
            raise ValueError(f"a webhook is signed with one secret, or two during a rotation, not {len(secrets)}")
        self._secrets = tuple(Secret(text) for text in secrets)

    def request(self, parcel: Parcel) -> tuple[Mapping[str, str], bytes]:
        # signed anew on every attempt: a retry an hour later must not look like a replay
        timestamp_s = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": parcel.key,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": sign(self._secrets, parcel.key, timestamp_s, parcel.body),
        }
        return headers, parcel.body
