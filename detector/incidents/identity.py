"""Identity: what an incident is called, everywhere and for ever, and what an account is called outside this machine.

An incident's id is a pure function of the log and the configuration: live, after a crash and in replay the same events
give the same id. It names the episode's first signal (which market, which detector, when) and never its membership,
because who joined later may depend on a partition that was late.
"""

from __future__ import annotations

from hashlib import blake2b

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U, so that it survives being read aloud
ID_BYTES = 16
PSEUDONYM_BYTES = 8
KEY_BYTES_MAX = 64  # of BLAKE2b; a longer key is hashed first
MILLISECOND_NS = 1_000_000


def crockford32(data: bytes) -> str:
    """Base 32 in Crockford's alphabet, most significant first, padded with zero bits on the left.

    >>> crockford32(bytes([0, 255]))
    '007Z'
    """
    digits = (8 * len(data) + 4) // 5
    number = int.from_bytes(data, "big")
    return "".join(ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(digits)))


def incident_id(venue: str, rule: str, rule_rev: str, entity: str, anchor_ns: int) -> str:
    """inc_ and 26 characters. `entity`: the anchor market; `anchor_ns`: start of the window of the first crossing.

    >>> incident_id("exchange", "cancel_burst", "1", "BTC-PERP", 1_700_000_000_000_000_000)
    'inc_06EKGKEZG03RNV9XKY133ZFG9Z'
    """
    parts = (venue, rule, rule_rev, entity, str(anchor_ns // MILLISECOND_NS))
    # a bar inside a name must not be able to imitate another name
    named = "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)
    return "inc_" + crockford32(blake2b(named.encode(), digest_size=ID_BYTES).digest())


def pseudonym(key: bytes, account: int) -> str:
    """What an account (its 64-bit digest) is called in alerts: the same under one key, unknowable without it.

    >>> pseudonym(b"a key of a demonstration", 7) == pseudonym(b"another key", 7)
    False
    """
    assert key, "an account's pseudonym needs a key, or anybody could compute it"
    if len(key) > KEY_BYTES_MAX:
        key = blake2b(key).digest()
    digest = blake2b(account.to_bytes(8, "little"), key=key, digest_size=PSEUDONYM_BYTES)
    return f"acct_h:{digest.hexdigest()}"
