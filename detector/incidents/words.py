"""Words: numbers, spans and instants as a tired person reads them, and text that nobody can smuggle anything into."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import floor, isfinite, log10

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
LARGE = ((1e12, "T"), (1e9, "B"), (1e6, "M"))
SLOWER = ("1/s", "1/min", "1/h")  # each sixty times the one before
FINER = ((1e-6, "us"), (1e-3, "ms"))  # than a second
SELDOM = 0.1  # a second or a minute: rarer than this is counted over a longer time
SHORT_UNIT = 5  # characters: "1/min", "bps"; not "orders"
YEAR_S = 31_557_600.0
YEARS_MAX = 1_000.0
SPANS = (
    (YEAR_S, "year"), (YEAR_S / 12, "month"), (604_800.0, "week"), (86_400.0, "day"), (3_600.0, "hour"),
    (60.0, "minute"),
)  # fmt: skip


def number(value: float) -> str:
    """Three digits that matter; thousands kept apart up to a million, M, B and T beyond.

    >>> [number(x) for x in (0.0, 0.0312, 31.04, 412.6, 18_249.0, 1_234_567.0, 4.2e9, 1e18, float("nan"))]
    ['0', '0.0312', '31', '413', '18,200', '1.23 M', '4.2 B', '1e+18', 'unknown']
    """
    if not isfinite(value):
        return "unknown"
    if abs(value) >= 999.5e12 or 0 < abs(value) < 1e-4:
        return f"{value:.2g}"
    for size, letter in LARGE:
        if abs(value) >= 0.9995 * size:
            return f"{_three(value / size)} {letter}"
    return _three(value)


def _three(value: float) -> str:
    if value == 0:
        return "0"
    digits = 2 - floor(log10(abs(value)))
    rounded = round(value, digits)
    text = f"{rounded:,.{max(0, digits)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: float, unit: str) -> str:
    """A number with its unit, as it is said aloud.

    >>> [quantity(x, u) for x, u in ((412, "1/s"), (0.003, "1/s"), (3.2e6, "quote"), (80, "% of depth"), (4, ""))]
    ['412/s', '0.18/min', '3.2 M', '80 % of depth', '4']
    >>> quantity(0.005, "1/min")
    '0.3/h'
    >>> [quantity(x, "s") for x in (0.000015, 0.0004, 0.32, 3.1)]
    ['15 us', '0.4 ms', '0.32 s', '3.1 s']
    """
    if not isfinite(value):
        return "unknown"
    if unit.startswith("1/"):
        for slower in SLOWER[SLOWER.index(unit) + 1 :] if unit in SLOWER else ():
            if not 0 < abs(value) < SELDOM:
                break
            value, unit = value * 60, slower
        return f"{number(value)}{unit[1:]}"
    if unit == "share":
        return percent(value)
    for size, finer in FINER if unit == "s" else ():
        if 0 < abs(value) < 100 * size:
            return f"{number(value / size)} {finer}"
    if unit in ("", "quote"):
        return number(value)
    return f"{number(value)} {plain(unit)}"


def percent(share: float) -> str:
    """A share in whole percent; of a small one, what there is of it.

    >>> [percent(x) for x in (0.571, 0.0043, 1.0, 0.0)]
    ['57 %', '0.43 %', '100 %', '0 %']
    """
    return f"{100 * share:.0f} %" if 0.01 <= share <= 1 else f"{number(100 * share)} %"


def alongside(value: float, unit: str) -> str:
    """The same where the unit was just said: a long one need not be said again.

    >>> [alongside(x, u) for x, u in ((31, "1/s"), (6.2, "orders"), (0.1, "share"), (6, "bps"))]
    ['31/s', '6.2', '10 %', '6 bps']
    """
    return quantity(value, unit if unit in ("share", "quote") or len(unit) <= SHORT_UNIT else "")


def between(low: float, high: float, unit: str) -> str:
    """A range, its unit said once.

    >>> between(12, 66, "1/s"), between(0, 0.02, "1/s"), between(1, 15, "orders")
    ('12/s and 66/s', '0 and 1.2/min', '1 and 15 orders')
    """
    each = unit == "share" or (unit.startswith("1/") and low != 0)
    return f"{quantity(low, unit if each else '')} and {quantity(high, unit)}"


def listed(names: Sequence[str]) -> str:
    """Names as they are spoken.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def span(seconds: float) -> str:
    """How long, in the largest unit that gives at least one and a half of it.

    >>> [span(s) for s in (0.4, 41, 89.6, 100, 5_400, 86_400, 200_000)]
    ['less than a second', '41 s', '90 s', '1 min 40 s', '1 h 30 min', '24 h', '2.3 days']
    """
    if not isfinite(seconds) or seconds < 0:
        return "unknown"
    if seconds < 1:
        return "less than a second"
    whole = round(seconds)
    if whole <= 90:
        return f"{whole} s"
    if whole < 3_600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    if whole < 129_600:
        hours, rest = divmod(whole // 60, 60)
        return f"{hours} h {rest} min" if rest and hours < 10 else f"{hours} h"
    return f"{number(round(whole / 86_400, 1))} days"


def lag(seconds: float) -> str:
    """How much later, to the millisecond where that is all there is.

    >>> [lag(s) for s in (0.04, 1.0, 41.0)]
    ['40 ms', '1 s', '41 s']
    """
    return f"{1000 * seconds:.0f} ms" if 0 < seconds < 1 else span(seconds)


def rarity(every_s: float) -> str:
    """How often one market shows such a peak in normal times, in market time.

    >>> [rarity(s) for s in (3_600, 7 * 3_600, 604_800, 3.2 * YEAR_S, 1e15, 0)]
    ['1 market-hour', '7 market-hours', '7 market-days', '3.2 market-years', 'more than 1,000 market-years', 'unknown']
    """
    if not every_s > 0:
        return "unknown"
    if every_s > YEARS_MAX * YEAR_S:
        return f"more than {YEARS_MAX:,.0f} market-years"
    for size, name in SPANS:
        count = every_s / size
        if count >= 1.45 or (size <= 3_600.0 and count >= 0.995):
            said = f"{count:.0f}" if count >= 9.95 else f"{count:.1f}".removesuffix(".0")
            return f"{said} market-{name}" if said == "1" else f"{said} market-{name}s"
    return "less than a market-minute"


def instant(at_ns: int) -> str:
    """ISO-8601, UTC, milliseconds, with Z.

    >>> instant(1_700_000_000_120_999_999)
    '2023-11-14T22:13:20.120Z'
    """
    at = EPOCH + timedelta(milliseconds=at_ns // MILLISECOND_NS)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at_ns: int) -> str:
    """Time of day as it is said in a sentence.

    >>> clock(1_700_000_000_120_000_000)
    '22:13:20 UTC'
    """
    return instant(at_ns)[11:19] + " UTC"


def date(at_ns: int) -> str:
    """Day and minute, for what began long ago.

    >>> date(1_700_000_000_120_000_000)
    '2023-11-14 22:13 UTC'
    """
    return f"{instant(at_ns)[:10]} {instant(at_ns)[11:16]} UTC"


def plain(text: str) -> str:
    """One line without control, direction or formatting characters: each is shown as its code.

    >>> plain("BTC\\n\\u202ePERP")
    'BTC\\\\u000a\\\\u202ePERP'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _harmless(c) else f"\\u{ord(c):04x}" for c in text)


def _harmless(character: str) -> bool:
    return character == " " or unicodedata.category(character)[0] not in "CZ"
