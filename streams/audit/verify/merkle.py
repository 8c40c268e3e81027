"""The tree of RFC 6962, section 2.1. Standard library only.

leaf hash      SHA-256(0x00 | entry)
node hash      SHA-256(0x01 | left | right)
root           of n leaves: split at the largest power of two below n
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


class ProofError(ValueError):
    """A proof that does not hold, or is none."""


def leaf_hash(entry: bytes) -> bytes:
    """Of one entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree, of which only the roots of its full subtrees are kept: O(log n). `peaks` from the largest to the smallest."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} has {size.bit_count()} full subtrees, {len(peaks)} were given")
        self.size, self.peaks = size, list(peaks)

    def extend(self, hashes: Sequence[bytes]) -> None:
        """Append leaves by their hashes. Many at a time are paired level by level, which is twice as fast as one by one."""
        start = 0
        while start < len(hashes):
            # as many as make a full subtree that fits where the tree ends
            fits = (self.size & -self.size) or 1 << 62
            count = 1 << min(fits.bit_length(), (len(hashes) - start).bit_length()) - 1
            self._push(full_root(hashes[start : start + count]), count)
            start += count

    def _push(self, root: bytes, count: int) -> None:
        size = self.size
        while size & count:
            root = node_hash(self.peaks.pop(), root)
            size -= count
            count <<= 1
        self.peaks.append(root)
        self.size = size + count

    def root(self) -> bytes:
        """Of all leaves so far."""
        if not self.peaks:
            return EMPTY_ROOT
        *rest, root = self.peaks
        for peak in reversed(rest):
            root = node_hash(peak, root)
        return root


def full_root(hashes: Sequence[bytes]) -> bytes:
    """Of 2^k leaf hashes."""
    level = list(hashes)
    while len(level) > 1:
        level = [sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


# -- proofs ---------------------------------------------------------------

Range = Callable[[int, int], bytes]  # (start, end) -> root of the leaves in between


def range_root(subtree: Callable[[int, int], bytes], start: int, end: int) -> bytes:
    """Root of leaves [start, end). subtree(level, index): root of the full one of 2^level leaves that begins at index · 2^level."""
    size = end - start
    if size <= 0:
        return EMPTY_ROOT
    if size & (size - 1) == 0 and start % size == 0:
        level = size.bit_length() - 1
        return subtree(level, start >> level)
    half = _split(size)
    return node_hash(range_root(subtree, start, start + half), range_root(subtree, start + half, end))


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(root_of: Range, index: int, size: int) -> list[bytes]:
    """RFC 6962, 2.1.1: the siblings on the way from leaf `index` to the root of `size` leaves."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")

    def path(start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*path(start, middle), root_of(middle, end)]
        return [*path(middle, end), root_of(start, middle)]

    return path(0, size)


def consistency_proof(root_of: Range, old: int, new: int) -> list[bytes]:
    """RFC 6962, 2.1.2: that the tree of `old` leaves is the beginning of that of `new`."""
    if not 0 <= old <= new:
        raise ValueError(f"{old} is no beginning of {new}")
    if old in (0, new):
        return []

    def path(start: int, end: int, whole: bool) -> list[bytes]:
        if end == old:
            return [] if whole else [root_of(start, end)]
        middle = start + _split(end - start)
        if old <= middle:
            return [*path(start, middle, whole), root_of(middle, end)]
        return [*path(middle, end, False), root_of(start, middle)]

    return path(0, new, True)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """RFC 9162, 2.1.3.2. Raises ProofError."""
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the proof is too long")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last or found != root:
        raise ProofError("the proof does not lead to the root" if not last else "the proof is too short")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """RFC 9162, 2.1.4.2. Raises ProofError."""
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {old} is no beginning of one of {new}")
    if old in (0, new):
        expected = EMPTY_ROOT if old == 0 else new_root
        if proof or old_root != expected:
            raise ProofError("two different roots of one size" if old else "a root of nothing that is none")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise ProofError("the proof is too short")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("the proof is too long")
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    if first != old_root or second != new_root:
        raise ProofError("the proof does not lead from the old root to the new one")
