"""What the daemon says about itself in the contract's form: a test, a heartbeat, a word that something is degraded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from detector import __version__
from detector.incidents.notice import notice
from detector.model.alert import Alert
from detector.model.incident import Severity

Fact = int | float | str | None


def test(destination: str, at_s: float, severity: str = "info") -> tuple[Alert, Alert]:
    """What `foreshock webhook test DESTINATION` sends: it fires, and is over."""
    name, text = f"test_{destination}_{int(at_s * 1000)}", "If you can read this, alerts reach you here."
    firing, over = (
        notice(
            "foreshock.test", name, _instant(at_s), severity, f"{begin}Test of {destination}",
            f"{text} Nothing has happened on the exchange.", version=__version__, firing=seq == 1, seq=seq,
            momentary=True,
        )
        for seq, begin in ((1, ""), (2, "Resolved: "))
    )  # fmt: skip
    return firing, over


def heartbeat(at_s: float, progress: Mapping[str, Fact]) -> Alert:
    """For a dead man's switch: sent only while the pipeline makes progress, so its absence is the alarm."""
    return notice(
        "foreshock.heartbeat", f"heartbeat_{int(at_s)}", _instant(at_s), "info",
        "foreshock is watching", "The pipeline made progress since the last heartbeat.", version=__version__,
        more={"progress": dict(progress)},
    )  # fmt: skip


# What a trouble means for whoever relies on us, by the first word of its name.
IMPACT = {
    "store": "Nothing is saved: alerts go out past the outbox, and after a restart some may come again.",
    "source": "Nothing is seen of the exchange until it speaks again.",
    "feed": "Nothing is seen of the exchange until it can be read again: `foreshock dlq ls` shows what comes.",
    "disk": "When that is gone, too, nothing is saved any more.",
    "state": "Until normal is learned anew, small troubles are missed.",
}

BLIND = ("source", "feed")  # in such a trouble nothing is watched: who is woken for a cascade is woken for that

LOST = ("state_file",)  # alerts may be lost, and records skipped


def severity(what: str) -> Severity:
    """How urgent a trouble is, by the first word of its name.

    >>> severity("source").label, severity("destination_pager").label
    ('critical', 'warning')
    """
    grave = what.partition("_")[0] in BLIND or what in LOST
    return Severity.CRITICAL if grave else Severity.WARNING


def meaning(what: str, why: str) -> str:
    """The reason, and what it means; of a trouble that is over, that.

    >>> meaning("source", "no broker answers")
    'no broker answers. Nothing is seen of the exchange until it speaks again.'
    >>> meaning("source", "")
    'It works again.'
    """
    if not why:
        return "It was told; nothing of it goes on." if what.startswith("lost_") else "It works again."
    impact = IMPACT.get(what.partition("_")[0], "")
    return f"{why.rstrip('.')}. {impact}".rstrip()


def degraded(
    what: str, at_s: float, title: str, summary: str, *, firing: bool, seq: int, severity: str, momentary: bool = False
) -> Alert:
    """The daemon itself is unwell (firing) or well again. `what` names the trouble; seq counts its transitions."""
    return notice(
        "foreshock.degraded", f"degraded_{what}", _instant(at_s), severity, title, summary, version=__version__,
        firing=firing, seq=seq, momentary=momentary,
    )  # fmt: skip


def _instant(at_s: float) -> str:
    """As the contract writes times."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
