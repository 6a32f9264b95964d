"""Signatures against the reference implementation of Standard Webhooks, in both directions."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import msgspec
import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.sinks.signature import SIGNATURES_MAX, TOLERANCE_S, Secret, Verdict, sign, verify

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
NOW = 1_790_000_000


def now() -> int:
    """The reference takes the time itself, and a run may last longer than it tolerates."""
    return int(datetime.now(UTC).timestamp())


def headers(key: str, signature: str, stamp: int = NOW) -> dict[str, str]:
    return {"webhook-id": key, "webhook-timestamp": str(stamp), "webhook-signature": signature}


@given(st.binary(min_size=24, max_size=64), st.text("abcxyz_0189", min_size=1), st.text())
@settings(max_examples=60, deadline=None)
def test_the_reference_accepts_what_we_sign_and_we_accept_what_it_signs(key: bytes, name: str, text: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    reference = standardwebhooks.Webhook(secret)
    stamp = now()
    body = msgspec.json.encode({"x": text})
    ours = sign((Secret(secret),), name, stamp, body)
    assert reference.verify(body, headers(name, ours, stamp))
    theirs = reference.sign(name, datetime.fromtimestamp(stamp, UTC), body.decode())
    assert theirs == ours
    assert verify((Secret(secret),), headers(name, theirs, stamp), body, stamp) is Verdict.GENUINE


def test_during_a_rotation_a_receiver_with_either_secret_accepts() -> None:
    stamp = now()
    both = sign((Secret(SECRET), Secret(OTHER)), "id", stamp, b"{}")
    for secret in (SECRET, OTHER):
        assert standardwebhooks.Webhook(secret).verify(b"{}", headers("id", both, stamp)) == {}
        assert verify((Secret(secret),), headers("id", both, stamp), b"{}", stamp) is Verdict.GENUINE


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"webhook-id": "other"}, Verdict.FORGED),
        ({"webhook-timestamp": str(NOW + 1)}, Verdict.FORGED),
        ({"webhook-timestamp": str(NOW - TOLERANCE_S - 1)}, Verdict.STALE),
        ({"webhook-timestamp": str(NOW + TOLERANCE_S + 1)}, Verdict.STALE),
        ({"webhook-timestamp": "-1"}, Verdict.INCOMPLETE),
        ({"webhook-timestamp": "9" * 5000}, Verdict.INCOMPLETE),
        ({"webhook-timestamp": "٣"}, Verdict.INCOMPLETE),
        ({"webhook-signature": "v1,"}, Verdict.FORGED),
        ({"webhook-signature": "v2,abc"}, Verdict.FORGED),
        ({"webhook-signature": "v1,ümläut"}, Verdict.FORGED),
        ({"webhook-signature": ""}, Verdict.INCOMPLETE),
        ({"webhook-id": ""}, Verdict.INCOMPLETE),
    ],
)
def test_what_was_changed_on_the_way_is_not_accepted(change: dict[str, str], verdict: Verdict) -> None:
    true = headers("id", sign((Secret(SECRET),), "id", NOW, b"{}"))
    assert verify((Secret(SECRET),), true, b"{}", NOW) is Verdict.GENUINE
    assert verify((Secret(SECRET),), true | change, b"{}", NOW) is verdict
    assert verify((Secret(SECRET),), true, b"{} ", NOW) is Verdict.FORGED
    assert verify((Secret(OTHER),), true, b"{}", NOW) is Verdict.FORGED


def test_only_the_first_signatures_of_a_header_are_looked_at() -> None:
    right = sign((Secret(SECRET),), "id", NOW, b"{}")
    padded = "v1,x " * SIGNATURES_MAX + right
    assert verify((Secret(SECRET),), headers("id", padded), b"{}", NOW) is Verdict.FORGED


@pytest.mark.parametrize("text", ["whsec_", "whsec_###", "whsec_AAAA", "whsec_" + "A" * 400, "", "whsec_é"])
def test_a_secret_that_cannot_be_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="secret") as told:
        Secret(text)
    assert len(text) <= 6 or text not in str(told.value)
    assert SECRET[6:] not in repr(Secret(SECRET)) + str(Secret(SECRET))
