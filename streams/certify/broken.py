"""Parts of the system, broken on purpose, so that a trial can show that it would notice. Nothing here is ever part of a real process:

python -m streams.certify.broken FAULT MODULE [ARGUMENT]…      as `python -m MODULE …`, and every process it starts, with that fault
"""

# mypy: disable-error-code="assignment,method-assign"
from __future__ import annotations

import functools
import hashlib
import runpy
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

_active: list[str] = []


def module(name: str) -> list[str]:
    """Arguments for Python that run a module with the faults of this process."""
    return ["-m", "streams.certify.broken", _active[0], name] if _active else ["-m", name]


def is_active() -> bool:
    """Whether something is broken in this process."""
    return bool(_active)


def start(fault: str, name: str, *arguments: str) -> None:
    """Break it, then run a module as the main one."""
    from streams.runtime.supervisor import Supervisor

    _active.append(fault)
    FAULTS[fault]()
    begin = Supervisor.__init__

    def begin_broken(self: Supervisor, modules: dict[str, Sequence[str]], *rest: Any, **more: Any) -> None:
        begin(self, {of: [*module(run[0])[1:], *run[1:]] for of, run in modules.items()}, *rest, **more)

    Supervisor.__init__ = begin_broken
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


# -- what can be broken: each is imported by its users only after this -----


def key_per_node() -> None:
    """The dedup key has the node in it."""
    from streams.domain import artifact

    true = artifact.hash_artifact

    def wrong(key: bytes, of: Any) -> artifact.Hashes:
        made = true(key, of)
        return made._replace(dedup=hashlib.blake2b(made.dedup + of["node_id"].encode(), digest_size=40).digest())

    artifact.hash_artifact = wrong


def no_signatures() -> None:
    """Every signature is good."""
    from streams.domain import identity

    identity.is_signed = lambda *_: True


def decides_again() -> None:
    """A stage that takes a partition over begins some records too early, and takes them for new ones."""
    from streams.runtime.runner import Runner

    find = Runner._find_positions

    def too_early(self: Runner, partition: int, applied: dict[str, int], reader: Any) -> None:
        for source, offset in applied.items():
            applied[source] = max(-1, offset - 50)
        find(self, partition, applied, reader)

    Runner._find_positions = too_early


def commits_before_flush() -> None:
    """How far a stage has come is committed first, what it wrote a moment later."""
    from streams.runtime.checkpoint import Checkpoint

    transact = Checkpoint._transact

    def in_two(self: Checkpoint, what: str, outputs: Any, rows: Any, marker: Any, event: Any) -> int:
        offset = transact(self, what, {}, rows, marker, event)
        if outputs:
            time.sleep(0.3)
            offset = transact(self, what, outputs, [], marker, None)
        return offset

    Checkpoint._transact = in_two


def forgets_the_count() -> None:
    """The counters of the hour are in memory only."""
    from streams.runtime import runner
    from streams.runtime.store import new_batch
    from streams.tables.quotas import QUOTAS

    restore = runner.restore

    def without_counts(store: Any, *rest: Any) -> int | None:
        rows = restore(store, *rest)
        counts = new_batch()
        for key in store.scan(QUOTAS):
            counts.delete(QUOTAS.prefix + key)
        store.db.write(counts)
        return rows

    runner.restore = without_counts


def forgets_the_feed() -> None:
    """What was fed is in memory only."""
    from streams.agents import rounds

    read = rounds.read_rounds

    def nothing(*of: Any) -> rounds.Rounds:
        return read(*of)._replace(steps=[], before=[])

    rounds.read_rounds = nothing


def by_urgency_alone() -> None:
    """The feed doesn't look at what was fed before, nor at domains."""
    from streams.agents import feeding
    from streams.domain.choice import Round

    rules = feeding.rules_in
    feeding.rules_in = lambda topology: replace(rules(topology), relevance=1.0)
    Round._due = lambda *_: []


def no_fast_channel() -> None:
    """Nobody's claims are tested against what came true."""
    from streams.domain import calibration

    calibration.is_inflated = lambda *_: False


def _scores(change: Callable[..., Any]) -> None:
    from streams.domain import priority

    priority.score = functools.wraps(priority.score)(functools.partial(change, priority.score))


def tells_another_score() -> None:
    """The score is not what its factors make."""
    _scores(lambda true, *of: (made := true(*of))._replace(score=round(made.score * 1.01, 9)))


def looks_at_the_clock() -> None:
    """An artifact's age is taken from the machine's clock."""
    _scores(lambda true, *of: true(*of[:-2], of[-1] - time.time_ns() // 1_000_000 % 1000, of[-1]))


def verifies_without_hashes() -> None:
    """The auditor believes the hash that a record says it has."""
    from streams.audit.verify.chain import Chain

    link = Chain.link
    Chain.link = lambda self, item, _: link(self, item, (item.value or b"")[-32:])


def drops_silently() -> None:
    """The intake forgets one record of fifty."""
    from streams.agents.candidates import Reader

    read = Reader.read
    Reader.read = lambda self, rows, batch: [one for one in read(self, rows, batch) if one.record.offset % 50]


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault
    for fault in (
        key_per_node, no_signatures, decides_again, commits_before_flush, forgets_the_count, forgets_the_feed, by_urgency_alone,
        no_fast_channel, tells_another_score, looks_at_the_clock, verifies_without_hashes, drops_silently,
    )
}  # fmt: skip

if __name__ == "__main__":
    from streams.certify import broken  # this file is not the module that others import

    broken.start(*sys.argv[1:])
