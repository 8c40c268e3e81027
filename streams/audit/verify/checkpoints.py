"""Signed checkpoints: read, believed only by a key that was given, and held against each other and against the tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from streams.audit.verify.envelope import Unreadable, seal
from streams.audit.verify.findings import Findings
from streams.audit.verify.note import COSIGNATURE, Checkpoint, Key, NoteError, parse_checkpoint, parse_note, verify


class Published(NamedTuple):
    """A note, and where it was found."""

    where: str
    data: bytes


class Checkpoints:
    """Of one log. origin, keys: which log, and who may sign it; anchor: what was accepted before, cosigned if witnesses' keys are given."""

    def __init__(
        self, findings: Findings, origin: str, keys: Sequence[Key], notes: Iterable[Published], anchor: Published | None
    ) -> None:
        self.findings, self.origin = findings, origin
        self.key = next((key for key in keys if key.name == origin), None)
        self.notes: list[tuple[Published, Checkpoint]] = []
        self._published: set[bytes] = set()
        self.unreadable = 0  # notes that are none of ours
        self._unpublished: list[tuple[int, int]] = []  # (offset, size): a seal tells of a checkpoint that isn't there
        largest = -1
        for published in notes:
            signed = self._signed(published)
            if signed is None:
                continue
            self.notes.append((published, signed))
            self._published.add(sha256(published.data).digest())
            if signed.size < largest:
                told = f"a checkpoint of {signed.size} behind one of {largest}: an old one, said again"
                findings.add("REORDERED", published.where, told)
            largest = max(largest, signed.size)
        self.witnesses = [key for key in keys if key.kind == COSIGNATURE]
        before = None if anchor is None else self._signed(anchor)
        if anchor is not None and before is not None and self.witnesses and not self._is_witnessed(anchor):
            findings.add("CORRUPT", anchor.where, "checkpoint: not cosigned by a witness whose key was given", 0)
            before = None
        self.anchor = (anchor, before) if anchor is not None and before is not None else None
        if anchor is None:
            findings.add("UNANCHORED", origin, "the first audit of this log, as far as was said")

    def _is_witnessed(self, published: Published) -> bool:
        note = parse_note(published.data)
        for key in self.witnesses:
            try:
                verify(note, key)
            except NoteError:
                continue
            return True
        return False

    def _signed(self, published: Published) -> Checkpoint | None:
        try:
            note = parse_note(published.data)
            checkpoint = parse_checkpoint(note.text)
            if checkpoint.origin != self.origin:
                raise NoteError(f'of another log, "{checkpoint.origin}"; this one is "{self.origin}"')
            if self.key is None:
                raise NoteError(f'no key for "{self.origin}" was given')
            verify(note, self.key)
        except NoteError as error:
            self.findings.add("CORRUPT", published.where, f"checkpoint: {error}")
            self.unreadable += 1
            return None
        return checkpoint

    @property
    def known(self) -> list[tuple[Published, Checkpoint]]:
        """All that were signed."""
        return self.notes if self.anchor is None else [*self.notes, self.anchor]

    @property
    def newest(self) -> tuple[Published, Checkpoint] | None:
        """The largest that was published."""
        return max(self.notes, key=lambda pair: pair[1].size, default=None)

    def named_by_seal(self, offset: int, payload: bytes) -> None:
        """The sealer says in the log itself which checkpoints it published."""
        try:
            origin, size, _, hashed = seal(payload)
        except Unreadable as error:
            self.findings.mark("UNDECIDABLE", offset, str(error))
            return
        if origin == self.origin and hashed not in self._published:
            self._unpublished.append((offset, size))

    def judge_roots(self, roots: Mapping[int, bytes], size: int, last: int | None, silent: bool) -> int:
        """Every signed root must be that of the same tree. silent: the tree differs because a record does, and that is told.
        Returns how many entries are sealed."""
        good = [c for _, c in self.notes if roots.get(c.size) == c.root]
        wrong = [(p, c) for p, c in self.known if c.size <= size and roots.get(c.size) != c.root]
        beyond = [(p, c) for p, c in self.known if c.size > size]
        if wrong and not silent:
            self._judge_wrong(wrong, good)
        if beyond:
            published, signed = max(beyond, key=lambda pair: pair[1].size)
            told = f"{signed.size} entries were sealed ({published.where}), {size} are there"
            self.findings.add("TRUNCATED", self.findings.at(last), told, signed.size - size)
        return max((c.size for c in good), default=0)

    def _judge_wrong(self, wrong: list[tuple[Published, Checkpoint]], good: list[Checkpoint]) -> None:
        for published, signed in wrong:
            # signed with the tree that is here, of as many entries or more: then there were two trees
            other = next((c for c in good if c.size >= signed.size), None)
            if other is not None:
                told = f"signed were both\n{signed.text}and\n{other.text}and they are not of one tree"
                self.findings.add("FORKED", published.where, told, len(wrong))
                return
        published, signed = wrong[0]
        below = max((c.size for c in good if c.size < signed.size), default=0)
        told = f"entries {below}..{signed.size - 1} don't give the root that was signed"
        self.findings.add("ALTERED", published.where, told, len(wrong))

    def judge_unpublished(self) -> None:
        """Checkpoints that a seal tells of. One that can't be read, or another history, may be what became of them."""
        if any(finding.kind == "FORKED" for finding in self.findings.all):
            return
        for offset, size in self._unpublished[self.unreadable :]:
            told = f"it tells of a checkpoint of {size} entries, which was not published, or is gone"
            self.findings.add("MISSING", self.findings.at(offset), told, 0)
