"""Explain: an incident in words for somebody who was woken by it: what is seen, what is normal, who, since when.

Everything said stands in the incident; nothing is guessed but the one clause of advice, which says what it may mean.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from detector.incidents.crossings import rank
from detector.incidents.phrases import ADVICE, ADVICE_OTHERWISE, phrase
from detector.incidents.settings import ACCOUNTS, ORDER_IDS
from detector.incidents.words import (
    SECOND_NS,
    alongside,
    between,
    clock,
    date,
    lag,
    listed,
    percent,
    plain,
    quantity,
    rarity,
    span,
)
from detector.model.incident import Circumstance, Incident, Moment, Reason
from detector.model.score import Evidence

TITLE_MAX = 200  # characters
SUMMARY_MAX = 1_500
NAME_MAX = 64  # of a market in a sentence; venues stay far below
NAMED_MARKETS = 3  # listed by name before "and 47 more"
ALONE = 0.995  # a share that is said as 100 %
LITTLE = 0.005  # a smaller share is nothing to read
STANDS_OUT = 0.1  # an account with less than this share does not
ALIKE = 0.6  # of the largest share: who has as much is no bystander
WORSE = 2.0  # x as far from normal as in the market that is spoken of: then another one is named, too
EASED = 0.7  # of the score at its worst: below that it is said to ease
CONTEXT_SAID = 2  # circumstances in the summary; all of them stand in the alert
TIMES_MAX = 1_000.0  # a larger multiple is no number but "far above"
SOURCE = "source_silence"  # of the feed detector: all markets at once, so none of them is spoken of
UNSEEN = {ACCOUNTS: ("who acts", "whose quotes are missing"), ORDER_IDS: ("how long orders lived",)}


def title(incident: Incident) -> str:
    """One line: which market, what, how far from normal.

    One market: "BTC-PERP: cancels 13 x their normal". Several: "3 markets, BTC-PERP first: cancels ...", or where none
    moved before the others "3 markets at once, among them BTC-PERP: cancels ...". One much worse off is named behind.
    Of what is over it begins with "Resolved: ".
    """
    over = "Resolved: " if incident.reason is Reason.RESOLVED else ""
    return cut(f"{over}{_title(incident)}", TITLE_MAX)


def _title(incident: Incident) -> str:
    row = _chosen(incident)
    if row is not None and row.feature == SOURCE:
        return f"The whole source is silent for {quantity(row.observed, row.unit)}: {_markets(incident)}"
    what = _departure(row) if row is not None else _named(incident.kind)
    where = _name(incident.markets[0])
    if len(incident.markets) > 1:
        moved = _moved(incident)
        lead = incident.led_by
        at_once = lead is None and len(moved) == len(incident.markets) and len(set(moved.values())) == 1
        together = " at once" if at_once else ""
        which = f"{_name(lead.market)} first" if lead is not None else f"among them {where}"
        where = f"{len(incident.markets)} markets{together}, {which}"
        if row is not None and row.market != incident.markets[0]:
            what = f"{what} in {_name(row.market)}"
        what += _worse(incident, row)
    lacking = f" (feed without {listed(incident.lacks)})" if incident.lacks else ""
    phase = f" during {listed([plain(name) for name in incident.phases])}" if incident.phases else ""
    return f"{where}: {what}{phase}{lacking}"


def summary(incident: Incident, pseudonym: Callable[[int], str]) -> str:
    """What and who; what it may mean; what else is unusual; what would have been without the first sign; and more
    where what is seen is not to be fully trusted. Of what is over, when it ended and its worst window."""
    seen = f"{_seen(incident)}{_who(incident, pseudonym)}."
    if incident.reason is Reason.RESOLVED:
        lasted_s = ((incident.ended_ns or incident.updated_ns) - _began_ns(incident)) / SECOND_NS
        over = f"Resolved: nothing unusual since {clock(incident.ended_ns or incident.updated_ns)}, "
        sentences = [f"{over}{span(lasted_s)} after it began.", f"At its worst: {seen}"]
    else:
        followed = _followed(incident)
        since = f"{_opening(incident)}since {_since(incident)} "
        sentences = [_capital(f"{since}{_seen(incident)}{followed}{_who(incident, pseudonym)}.")]
        sentences += [*_trend(incident), _advice(incident)]
        if incident.context:
            sentences.append(f"Unusual with it: {listed([_beside(row) for row in incident.context[:CONTEXT_SAID]])}.")
        sentences += _counterfactual(incident)
    if incident.lacks:
        unseen = listed([part for name in incident.lacks for part in UNSEEN.get(name, (f"what {name} would tell",))])
        given = f"The feed gives no {' and no '.join(incident.lacks)}"
        sentences.append(f"{given}: {unseen} cannot be seen, and the rest less sharply.")
    if incident.phases:
        planned = listed([plain(name) for name in incident.phases])
        sentences.append(f"It falls in a planned phase ({planned}), in which more is needed to be told.")
    if incident.warming:
        sentences.append("It is still learning what is normal here.")
    return cut(" ".join(sentences), SUMMARY_MAX)


def story(incident: Incident, pseudonym: Callable[[int], str]) -> tuple[str, ...]:
    """All of it, line by line: title, summary, rarity, the evidence that has a share, the accounts, what moved when."""
    lines = [title(incident), summary(incident, pseudonym)]
    lines.append(f"Expected once in {rarity(incident.every_s)}; score {incident.peak:.1f} at its worst.")
    for row in incident.evidence:
        if row.share < LITTLE:
            continue
        share = f"{percent(row.share)} of that score{_less(row)}"
        lines.append(f"{_name(row.market)}, {_named(row.detector)}: {_measured(row)}; {share}.")
    for beside in incident.context:
        lines.append(f"Beside it, {_name(beside.market)}: {_beside(beside)}, {abs(beside.deviations):.0f} deviations.")
    for who in incident.contributors:
        lines.append(f"{pseudonym(who.account)}: {percent(who.share)} of it.")
    for moment in incident.timeline:
        what = f"{_name(moment.market)}, {_named(moment.detector)}, score {moment.score:.1f}"
        lines.append(f"{clock(moment.at_ns)}  {what}.")
    return tuple(lines)


# the parts of a sentence


def _worse(incident: Incident, chosen: Evidence | None) -> str:
    """Where the same is much further from normal than in the market that is spoken of."""
    if chosen is None or not _ratio(chosen) > 1.0:
        return ""
    same = [row for row in incident.evidence if (row.detector, row.feature) == (chosen.detector, chosen.feature)]
    worst = max(same, key=lambda row: (_ratio(row), row.market), default=chosen)
    if worst.market == chosen.market or _ratio(worst) < WORSE * _ratio(chosen):
        return ""
    return f", {_times(worst)}{' normal' if _ratio(worst) > TIMES_MAX else ''} in {_name(worst.market)}"


def _ratio(row: Evidence) -> float:
    """How many times normal it is; 0 = cannot be told."""
    if not (isfinite(row.observed) and isfinite(row.expected)) or row.expected <= 0:
        return 0.0
    return row.observed / row.expected


def _trend(incident: Incident) -> list[str]:
    """Of what was told before: whether it was ever worse. The score is of the newest window that stood out."""
    if incident.reason is not Reason.UPDATED or not incident.peak > 0:
        return []
    if incident.score >= incident.peak:
        return ["It is at its worst so far."]
    if incident.score < EASED * incident.peak:
        return [f"It has eased: a score of {incident.score:.1f}, {incident.peak:.1f} at its worst."]
    return []


def _chosen(incident: Incident) -> Evidence | None:
    """What to speak of: the strongest of the market that moved first; a sum of signs only where no sign stands out."""
    best: Evidence | None = None
    for row in incident.evidence:  # strongest detector first, and its largest share first
        if best is None or _speaks(row, incident) < _speaks(best, incident):
            best = row
    return best


def _speaks(row: Evidence, incident: Incident) -> tuple[int, bool]:
    return (rank(row.detector), row.market != incident.markets[0])


def _opening(incident: Incident) -> str:
    if incident.reason is Reason.ESCALATED:
        return f"now {incident.severity.label}: "
    if incident.reason is Reason.OPENED and incident.seq > 1:
        return "again, after it had been quiet: "
    return ""


def _since(incident: Incident) -> str:
    """Of a lasting change, what is known of its beginning; else when the first sign was."""
    row = _chosen(incident)
    return date(row.since_ns) if row is not None and row.since_ns else clock(incident.started_ns)


def _began_ns(incident: Incident) -> int:
    """As `_since` says it."""
    row = _chosen(incident)
    return row.since_ns if row is not None and row.since_ns else incident.started_ns


def _seen(incident: Incident) -> str:
    row = _chosen(incident)
    if row is None:
        return f"{_named(incident.kind)} is unusual in {_name(incident.markets[0])}"
    where = f" in {_name(row.market)}," if len(incident.markets) > 1 and row.feature != SOURCE else ""
    known = phrase(plain(row.feature), plain(row.meaning))
    counted = known.counted and isfinite(row.observed) and isfinite(row.expected)
    if not counted:
        return f"{_departure(row, verb=True)}{where.removesuffix(',')}"
    said = _with(known.said, quantity(row.observed, row.unit))
    if row.since_ns:
        return f"{said}{where} where {alongside(row.expected, row.unit)} was"
    band = _band(row)
    band = f" (98 % of the time {band})" if band else ""
    usual = alongside(row.expected, row.unit)
    against = (
        f"{where.removesuffix(',')}, usually {usual}"
        if known.neutral
        else f"{where} where {usual} is normal{known.given}"
    )
    return f"{said}{against}{band}"


def _with(words: str, observed: str) -> str:
    return words.replace("{}", observed) if "{}" in words else f"{words} {observed}"


def _band(row: Evidence) -> str:
    """What is usual; of what cannot be less than none, though its estimate can, the upper end alone."""
    if not (isfinite(row.low) and isfinite(row.high)):
        return ""
    return f"up to {quantity(row.high, row.unit)}" if row.low < 0 else f"between {between(row.low, row.high, row.unit)}"


def _departure(row: Evidence, *, verb: bool = False) -> str:
    """ "cancels 13 x their normal", with a verb where a sentence needs one."""
    known = phrase(plain(row.feature), plain(row.meaning))
    word = (" are" if known.plural else " is") if verb else ""
    whose = "their" if known.plural else "its"
    if rank(row.detector) == 1:
        return f"several weak signs{' rise' if verb else ''} at once, {known.title} most"
    if known.fact and isfinite(row.observed):
        return _with(known.fact, quantity(row.observed, row.unit))
    if known.neutral:
        return f"{known.title} {_times(row)} normal"
    return f"{known.title}{word} {_times(row)} {whose} normal"


def _times(row: Evidence) -> str:
    if not (isfinite(row.observed) and isfinite(row.expected)):
        return "unlike"
    if row.expected <= 0 or row.observed > TIMES_MAX * row.expected:
        return "far above" if row.observed > row.expected else "far below"
    times = row.observed / row.expected
    if times < 0.95:
        return f"down to {max(0.0, 100 * times):.0f} % of"
    return f"{times:.0f} x" if times >= 9.95 else f"{times:.1f} x".replace(".0 x", " x")


def _measured(row: Evidence) -> str:
    if rank(row.detector) == 1:
        return (
            f"{phrase(plain(row.feature), '').title} more surprising than usual by {quantity(row.observed, row.unit)}"
        )
    if row.since_ns:
        before = f"{alongside(row.expected, row.unit)} before {date(row.since_ns)}"
        return f"{_departure(row)} ({quantity(row.observed, row.unit)} since, {before})"
    band = _band(row)
    band = f", mostly {band}" if band else ""
    seen = f"{quantity(row.observed, row.unit)} seen, {alongside(row.expected, row.unit)} expected{band}"
    return f"{_departure(row)} ({seen})"


def _followed(incident: Incident) -> str:
    """Who moved after the first, and how soon; in one market, which other sign."""
    first = incident.timeline[0] if incident.timeline else None
    others = incident.markets[1:]
    row = _chosen(incident)
    if row is not None and row.feature == SOURCE:
        return f"; {_markets(incident)}"
    if others:
        more = len(others) - NAMED_MARKETS
        names = [_name(market) for market in others[:NAMED_MARKETS]]
        named = listed([*names, f"{more} more"] if more > 0 else names)
        moved = _moved(incident)
        if len(moved) < len(incident.markets):
            return f"; {named} followed"  # a story too long to be kept whole
        within_s = (max(moved.values()) - min(moved.values())) / SECOND_NS
        lead = incident.led_by
        if within_s <= 0 and lead is None:
            return f"; {named} moved with it"
        led = "none of them led, " if lead is None else ""
        if lead is not None:
            within_s = max(within_s, lead.by_ns / SECOND_NS)  # windows may be too coarse to show the lead
        if lead is not None and len(others) > 1:
            led = f"{_name(lead.market)} led by {lag(lead.by_ns / SECOND_NS)}, "
        return f"; {led}{named} followed within {lag(within_s)}"
    later = _first_other(incident, first)
    if first is None or later is None:
        return ""
    after_s = (later.at_ns - first.at_ns) / SECOND_NS
    what = _named(later.detector)
    return f"; {what} at the same time" if after_s <= 0 else f"; {what} {span(after_s)} later"


def _markets(incident: Incident) -> str:
    """Of a source that is silent."""
    count = len(incident.markets)
    return (
        f"nothing is heard of its {count} markets" if count > 1 else f"nothing is heard of {_name(incident.markets[0])}"
    )


def _moved(incident: Incident) -> dict[str, int]:
    """When each market first moved, as far as the timeline goes."""
    moved: dict[str, int] = {}
    for moment in incident.timeline:
        moved.setdefault(moment.market, moment.at_ns)
    return moved


def _first_other(incident: Incident, first: Moment | None) -> Moment | None:
    """The next detector that moved; the sum of all signs is no sign of its own."""
    for moment in incident.timeline:
        if first is not None and moment.detector != first.detector and rank(moment.detector) == 0:
            return moment
    return None


def _who(incident: Incident, pseudonym: Callable[[int], str]) -> str:
    if not incident.contributors:
        return ""
    top = max(incident.contributors, key=lambda who: who.share)
    share = percent(top.share)
    if top.share < STANDS_OUT:
        return f"; no account stands out (the largest has {share})"
    least = max(STANDS_OUT, ALIKE * top.share)
    alike = [who.share for who in incident.contributors if who.share >= least]
    if len(alike) > 1:
        return f"; {len(alike)} accounts have {percent(sum(alike))} of it, {pseudonym(top.account)} the most ({share})"
    return f"; {pseudonym(top.account)} accounts for {share} of it"


def _beside(row: Circumstance) -> str:
    """ "life of cancelled orders (median) 0.4 ms, usually 3.1 s"."""
    seen = f"{plain(row.meaning)} {quantity(row.observed, row.unit)}"
    return f"{seen} (usually {alongside(row.usual, row.unit)})"


def _counterfactual(incident: Incident) -> list[str]:
    """Whether what is spoken of was needed: its detector's score without it, and the level that was crossed."""
    row = _chosen(incident)
    if row is None or not row.level > 0 or row.share >= ALONE:
        return []  # what is all of a score was needed, of course
    known = phrase(plain(row.feature), plain(row.meaning))
    even, where = ("Even without", "above") if row.without >= row.level else ("Without", "below")
    score = f"the {_named(row.detector)} score would be {row.without:.1f}"
    return [f"{even} {known.title} {score}, {where} the {row.level:.1f} that it crossed."]


def _less(row: Evidence) -> str:
    return (
        f", which would be {row.without:.1f} without it ({row.level:.1f} needed)"
        if row.level > 0 and row.share < 1.0
        else ""
    )


def _advice(incident: Incident) -> str:
    return ADVICE.get(incident.kind, ADVICE_OTHERWISE)


def _named(detector: str) -> str:
    return plain(detector).replace("_", " ")


def _name(market: str) -> str:
    return cut(plain(market), NAME_MAX)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def cut(text: str, longest: int) -> str:
    """At most so many characters; what was cut ends with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
