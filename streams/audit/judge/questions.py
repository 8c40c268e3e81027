"""What a hostile reader asks, answered before they do."""

from __future__ import annotations

from streams.audit.judge.judgement import Judgement
from streams.words import counted

CLOCK_KINDS = ("CLOCK_STEP", "SUSPEND", "REBOOT")


def questions(told: Judgement) -> list[tuple[str, str]]:
    """(question, answer), for the first page."""
    return [
        ("Who chose the formula, and when?", _methodology(told)),
        ("How much evidence is behind each number?", _evidence(told)),
        ("What if everything unknown was a failure?", _unknown(told)),
        ("How far do the weights decide?", _weights(told)),
        ("Can a good part hide a bad one?", _hidden(told)),
        ("Is one outage counted more than once?", _overlap(told)),
        ("Is it one host, one load?", _hosts(told)),
        ("Was a clock set, did a machine sleep?", _clocks(told)),
        ("Could the log have been rewritten?", _rewritten(told)),
        ("Does somebody else get the same figure?", _again(told)),
        (
            "What can't be proved?",
            "that a producer told the truth when it wrote; that nothing was left out before it was written; and nothing "
            "against a thief of the sealer's key for the time after the last checkpoint that somebody else has kept",
        ),
    ]


def percent(value: float | None) -> str:
    """Two decimals, or NOT EVALUABLE. Never rounded up to 100."""
    if value is None:
        return "NOT EVALUABLE"
    return f"{min(100 * value, 99.99) if value < 1 else 100 * value:.2f} %"


def _methodology(told: Judgement) -> str:
    if told.methodology == "v1":
        return "formula v1; it is seq 1 of each run, and was sealed before the run began"
    return f"don't trust the choice: the methodology is {told.methodology}"


def _evidence(told: Judgement) -> str:
    return (
        "; ".join(
            f"{part.name}: n {part.denominator:,.0f}"
            + (f", {counted(part.interval.episodes, 'outage')}" if part.interval else "")
            for part in told.parts
        )
        or "none: there is no schedule"
    )


def _unknown(told: Judgement) -> str:
    tail = 0 if told.slots is None else told.slots.tail
    if tail and not told.lost:
        return (
            f"the figure is that already: {counted(tail, 'slot')} at the end without a word or an exit, so nothing proves that no more was "
            f"written; as many jobs as ever were in one count as failed in each. Had there been none: {percent(told.figure.best)}"
        )
    if not told.lost:
        return "nothing is: no record is missing or corrupt, and a slot without evidence already counts as down"
    return (
        f"the figure is that already: {counted(told.lost, 'record')} gone or not believed, each counted as a failed job and its slots as "
        f"bad as they can be. Had all been good: {percent(told.figure.best)}"
    )


def _weights(told: Judgement) -> str:
    if not told.sensitivity:
        return "there is no figure"
    figures = [figure for _, low, high in told.sensitivity for figure in (low, high)]
    widest = max(told.sensitivity, key=lambda row: abs(row[2] - row[1]))[0]
    return (
        f"each weight halved or half as much more: {percent(min(figures))} to {percent(max(figures))}; most by {widest}"
    )


def _hidden(told: Judgement) -> str:
    if told.worst is None:
        return "there is no figure"
    return f"the worst is {told.worst.shown}, {percent(told.worst.value)}; all five are in the table"


def _overlap(told: Judgement) -> str:
    several = {names: count for names, count in told.overlap.items() if " + " in names}
    if not several:
        return "no: no slot counts against two components" if told.overlap else "there was none"
    return "yes, on purpose: " + "; ".join(f"{counted(count, 'slot')} in {names}" for names, count in several.items())


def _hosts(told: Judgement) -> str:
    load = "simulated load: no figure of real collecting" if told.simulated else "real load"
    return f"{counted(len(told.hosts), 'host')} ({', '.join(told.hosts) or 'unknown'}); {load}"


def _clocks(told: Judgement) -> str:
    found = [finding for finding in told.findings if finding.kind in CLOCK_KINDS]
    if not found:
        return "no; durations and lateness are of clocks that nobody sets"
    return "; ".join(f"{f.kind} {f.where}: {f.detail}" for f in found[:5]) + (
        f"; and {len(found) - 5} more" if len(found) > 5 else ""
    )


def _rewritten(told: Judgement) -> str:
    if not told.root:
        return "yes: nothing is sealed by a key that is believed"
    if told.distrust or any(not finding.is_notice for finding in told.findings):
        return "something is wrong with it: see the findings"
    if any(finding.kind == "UNANCHORED" for finding in told.findings):
        return "before this audit, by whoever holds the sealer's key: there is no earlier checkpoint to compare with"
    return "not what an earlier checkpoint covers, that this auditor or a witness kept; this log extends it"


def _again(told: Judgement) -> str:
    if told.figure.seed is None:
        return "the text and all counts, byte for byte, from the same bundle"
    return (
        f"yes, from the same bundle: tree root {told.root[:16]}…, bootstrap seed {told.figure.seed} (SHA-256 of the root), "
        f"resamples {(told.figure.resamples_sha256 or '')[:16]}…"
    )
