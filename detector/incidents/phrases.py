"""Phrases: what each feature is called in a sentence, and what each kind of incident may mean. One line each.

A feature without a line here is called by its meaning or its name, so a new one needs none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrase:
    """`title`: the subject of "... 13 x their normal"; `said`: the words before "412/s where 31/s is normal", {} where
    the observed number stands elsewhere.

    neutral: nobody has said whether it is one or many: no verb, and nobody's normal
    given: what it is normal for: a burst brings accounts and orders with it, so that may be far above the usual
    fact: what the title says with the observed number for {}, where a multiple of the normal says less
    counted: the observed number of it makes sense to a person; not so, only how far it is from normal is said
    plural: "cancels ... their normal" against "spread ... its normal"
    """

    title: str
    said: str
    plural: bool = True
    counted: bool = True
    fact: str = ""
    neutral: bool = False
    given: str = ""


AT_WORK = " with so many accounts at work"
PLACED = " beside so many new orders"
PHRASES: dict[str, Phrase] = {
    "activity": Phrase("messages", "messages come at"),
    "requoting": Phrase("re-quoting by makers", "makers take back, for each thing that others do,", plural=False),
    "quotes_resting": Phrase("makers' resting quotes", "its makers have resting"),
    "depth": Phrase("depth within 25 bps", "what rests within 25 bps stands at", plural=False),
    "leverage_raises": Phrase("leverage raises", "leverage raises run at about"),
    "cancels": Phrase("cancels", "cancels run at", given=AT_WORK),
    "cancels_by_others": Phrase("cancels by others than makers", "cancels by others than makers run at", given=AT_WORK),
    "cancels_unnamed": Phrase("cancels", "cancels run at", given=" in so brisk a market"),
    "cancels_net": Phrase("cancels", "cancels run at", given=PLACED),
    "fleeting_cancels_unnamed": Phrase("cancels within 50 ms", "cancels within 50 ms of placing run at", given=PLACED),
    "young_cancels_unnamed": Phrase(
        "cancels within a second", "cancels within a second of placing run at", given=PLACED
    ),
    "fleeting_cancels": Phrase("cancels within 50 ms", "cancels within 50 ms of placing run at"),
    "new_cancellers": Phrase("accounts that begin to cancel", "accounts that begin to cancel come at"),
    "cancelled_notional": Phrase("value taken back", "the value of orders taken back stands at", plural=False),
    "orders": Phrase("new orders", "new orders run at"),
    "raises": Phrase("leverage raises", "leverage raises run at", given=AT_WORK),
    "cuts": Phrase("leverage cuts", "leverage cuts run at"),
    "raised_far": Phrase("leverage raises", "", counted=False),
    "raise_surprise": Phrase("leverage raises by large positions", "", counted=False),
    "raised_notional": Phrase("value on raised leverage", "the value on raised leverage stands at", plural=False),
    "quotes_missing": Phrase("missing quotes of makers", "quotes of its makers are missing:"),
    "quotes_pulled": Phrase(
        "quotes taken back by makers",
        "makers took back, and did not replace, {} of their quotes",
        fact="makers took back {} of their quotes",  # the normal is about 0: a multiple of it says nothing
    ),
    "quotes_leapt": Phrase("makers whose quotes leap out", "makers that move quotes far out come at"),
    "quotes_moved": Phrase("makers' quotes moved outwards", "", counted=False),
    "taken": Phrase("volume taken", "what aggressors take stands at", plural=False),
    "spread": Phrase("spread", "the spread stands at", plural=False),
    "spread_bps": Phrase("spread", "the spread stands at", plural=False),
    "gap_bps": Phrase("widest hole in the book", "the widest hole in the book stands at", plural=False),
    "levels": Phrase("occupied price levels", "occupied price levels stand at"),
    "thin_levels": Phrase("thin price levels", "thin price levels stand at"),
    "silence": Phrase("silence", "its silence is past belief:", plural=False, fact="silent for {}"),
    "source_silence": Phrase(
        "silence of the whole source",
        "the silence of the whole source is past belief:",
        plural=False,
        fact="the whole source is silent for {}",
    ),
    "fall_to_cascade": Phrase(
        "fall needed for a cascade", "the fall that would start a cascade stands at", plural=False
    ),
    "rise_to_cascade": Phrase(
        "rise needed for a cascade", "the rise that would start a cascade stands at", plural=False
    ),
    "forced_share": Phrase("forced share of volume", "the forced share of volume stands at", plural=False),
    "loop_gain": Phrase("feedback of forced sales", "the feedback of forced sales stands at", plural=False),
}
DEPTH = Phrase("depth near the touch", "what rests near the touch stands at", plural=False)


def phrase(feature: str, meaning: str) -> Phrase:
    """For any feature, known or not. `joint` names a stream as detector.stream: its phrase, its surprise not counted.

    >>> phrase("bid_depth_10_bps", "").title, phrase("joint_of.cancels", "").counted
    ('depth near the touch', False)
    >>> phrase("queue_age", "age of the queue").said
    'age of the queue:'
    """
    _, dot, stream = feature.rpartition(".")
    if dot:
        known = phrase(stream, "")
        return Phrase(known.title, "", known.plural, counted=False)
    if feature in PHRASES:
        return PHRASES[feature]
    if "depth" in feature:
        return DEPTH
    name = meaning or feature.replace("_", " ")
    return Phrase(feature.replace("_", " "), f"{name}:", neutral=True)


# What it may mean, and where to look. Said after what was seen.
ADVICE: dict[str, str] = {
    "cancel_burst": "Orders leave faster than trading explains, so the book may thin at once: "
    "look at who cancels and at the depth that is left.",
    "leverage_spike": "More is at stake on less margin, so a small move can force sales: "
    "look at the accounts that raise and how far their liquidation prices are.",
    "thin_book": "Those who usually quote are gone or far out, so a small order moves the price: "
    "look at the makers' connections and at the depth that is left.",
    "joint": "None of them is strong alone, but together they are rare: look at which of them grow before you act.",
    "drift": "What is normal here has moved, which alone is no trouble: look for a change of fees, limits or the feed.",
    "cascade": "Forced sales can feed on each other from here: look at the largest positions near liquidation.",
    "feed": "What is seen of the exchange is incomplete: look at the feed before you trust any other alert.",
    "correlated": "Several markets at once point at one cause (a large account, a maker, a gateway, news): "
    "look first at the one that moved first or furthest.",
}
ADVICE_OTHERWISE = "Hold the evidence against what the market does now."
