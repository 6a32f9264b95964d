"""Words of Independent Reserve's messages: how a field is read, or refused with a reason."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np

from detector.formats.rows import EVENT_NS_MAX, Unreadable, exact, text_of

HOME = "AUD"  # the currency of a primary for which no pair was named
MILLISECOND_NS = 1_000_000
SEQ_MAX = 2**62

_JSON = msgspec.json.Decoder(float_hook=str)  # a float stays the text it was: nothing is rounded
_CODE = re.compile(r"[A-Za-z0-9]{1,16}")
_URL_PAIR = re.compile(rb"primaryCurrencyCode=(\w{1,16})&secondaryCurrencyCode=(\w{1,16})")
_INSTANT = re.compile(r"((?:19[7-9]|20[0-9])\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?)Z?")


def message_of(line: bytes) -> tuple[int, Any]:
    """(received_ns, message) of `t: {json}` or of the bare JSON (received_ns 0)."""
    received_ns = 0
    if line[:1].isdigit():
        head, _, line = line.partition(b": ")
        ticks, decimals = exact(head.decode("ascii", "replace"))
        received_ns = ticks * 10**9 // 10**decimals
        if received_ns >= EVENT_NS_MAX:
            raise Unreadable("no_time")
    try:
        return received_ns, _JSON.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable("not_json") from None
    except RecursionError:
        raise Unreadable("nested_too_deep") from None


def pair_of(message: dict[str, Any], url: bytes) -> tuple[str, str]:
    """(primary, secondary) of a starting book, as itself or the address it came from says."""
    said = (message.get("PrimaryCurrencyCode"), message.get("SecondaryCurrencyCode"))
    primary, secondary = (code if type(code) is str and _CODE.fullmatch(code) else "" for code in said)
    found = _URL_PAIR.search(url)
    if found is not None and not (primary and secondary):
        primary, secondary = found[1].decode("ascii", "replace"), found[2].decode("ascii", "replace")
    if not (primary and secondary):
        raise Unreadable("not_a_market")
    return primary.upper(), secondary.upper()


def prices_of(said: Any, currencies: tuple[str, ...] | None) -> dict[str, tuple[int, int]]:
    """Price by currency, in those of the primary's pairs; without pairs in AUD, or the first there is. A price so small
    that its conversion was rounded to nothing is left out."""
    if type(said) is not dict:
        raise Unreadable("no_price")
    told = {code.upper(): price for code, price in said.items() if _CODE.fullmatch(code)}
    if currencies is None:
        currencies = (HOME,) if HOME in told else tuple(sorted(told)[:1])
    prices = {currency: exact(text_of(told[currency])) for currency in currencies if currency in told}
    if not prices or min(prices.values())[0] < 0:
        raise Unreadable("price_negative" if prices else "no_price")
    return {currency: price for currency, price in prices.items() if price[0]}


def text(message: dict[str, Any], field: str, reason: str) -> str:
    """A field's text. Raises Unreadable(reason)."""
    value = message.get(field)
    if type(value) is not str:
        raise Unreadable(reason)
    return value


def decimal(message: dict[str, Any], field: str) -> tuple[int, int]:
    """(ticks, decimals) of a price or a volume. Raises Unreadable: quantity_negative, and what `exact` raises."""
    ticks, decimals = exact(text_of(message.get(field)))
    if ticks < 0:
        raise Unreadable("quantity_negative")
    return ticks, decimals


def nonce_of(message: dict[str, Any]) -> int:
    """A channel's sequence number. Raises Unreadable: no_sequence."""
    nonce = message.get("Nonce")
    if type(nonce) is not int or not 0 <= nonce < SEQ_MAX:
        raise Unreadable("no_sequence")
    return nonce


def event_ns_of(message: dict[str, Any]) -> int:
    """When the venue says it happened. Raises Unreadable: no_time."""
    when = message.get("Time")
    if type(when) is not int or not 0 < when < EVENT_NS_MAX // MILLISECOND_NS:
        raise Unreadable("no_time")
    return when * MILLISECOND_NS


def instant_ns(said: Any) -> int:
    """ns since the epoch of an ISO-8601 UTC instant, 0 = not said."""
    found = _INSTANT.fullmatch(said) if type(said) is str else None
    if found is None:
        return 0
    try:
        return int(np.datetime64(found[1], "ns").astype(np.int64))
    except ValueError:  # the 31st of February
        return 0
