"""The tree, beside an independent implementation (pymerkle), and its proofs, each of which must fail when anything in it is changed."""

from __future__ import annotations

import random
from functools import cache

import pymerkle
import pytest

from streams.audit.verify.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

ENTRIES = [number.to_bytes(3, "big") for number in range(300)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


@cache
def root_of(start: int, end: int) -> bytes:
    """Of LEAVES[start:end]."""
    tree = Frontier()
    tree.extend(LEAVES[start:end])
    return tree.root()


@pytest.fixture(scope="module")
def oracle() -> pymerkle.InmemoryTree:
    """The same entries."""
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in ENTRIES:
        tree.append_entry(entry)
    return tree


def test_roots_are_those_of_an_independent_implementation(oracle: pymerkle.InmemoryTree) -> None:
    """Every size from 1 to 300."""
    assert [root_of(0, size) for size in range(1, 301)] == [oracle.get_root(size) for size in range(1, 301)]
    assert root_of(0, 0) == EMPTY_ROOT


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 64, 100, 299])
def test_it_does_not_matter_how_leaves_arrive(cut: int) -> None:
    """One by one, or so many at a time; and from the middle on, with nothing kept but the peaks."""
    tree = Frontier()
    for start in range(0, 300, cut):
        tree = Frontier(tree.size, tree.peaks)
        tree.extend(LEAVES[start : start + cut])

    assert (tree.size, tree.root()) == (300, root_of(0, 300))


def test_proofs_lead_to_the_roots_of_an_independent_implementation(oracle: pymerkle.InmemoryTree) -> None:
    """Inclusion of every leaf, consistency of every pair, in trees of 1 to 70."""
    proofs = 0
    for size in range(1, 71):
        for index in range(size):
            proof = inclusion_proof(root_of, index, size)
            assert [LEAVES[index], *proof] == oracle.prove_inclusion(index + 1, size).path
            verify_inclusion(LEAVES[index], index, size, proof, root_of(0, size))
            proofs += 1
        for old in range(1, size):
            proof = consistency_proof(root_of, old, size)
            # it writes these in a form of its own, so only the roots are its
            verify_consistency(old, size, proof, oracle.get_root(old), oracle.get_root(size))
            proofs += 1
    print(f"\n{proofs} proofs compared")


def test_a_proof_in_which_anything_is_changed_fails() -> None:
    """A bit of a hash, one hash less, one more, two swapped, another index, size or root."""
    rng, broken = random.Random(1), 0
    for _ in range(300):
        size = rng.randrange(2, 300)
        index, old = rng.randrange(size), rng.randrange(1, size)
        for proof, verify in (
            (
                inclusion_proof(root_of, index, size),
                lambda p, i=index, s=size: verify_inclusion(LEAVES[i], i, s, p, root_of(0, s)),
            ),
            (
                consistency_proof(root_of, old, size),
                lambda p, o=old, s=size: verify_consistency(o, s, p, root_of(0, o), root_of(0, s)),
            ),
        ):
            verify(proof)
            at = rng.randrange(len(proof))
            flipped = bytes([proof[at][0] ^ 1 << rng.randrange(8)]) + proof[at][1:]
            for bad in (
                [*proof[:at], flipped, *proof[at + 1 :]],
                proof[:at] + proof[at + 1 :],
                [*proof, bytes(32)],
                [proof[-1], *proof[1:-1], proof[0]] if len(proof) > 1 else [bytes(32)],
            ):
                with pytest.raises(ProofError):
                    verify(bad)
                broken += 1
        with pytest.raises(ProofError):
            verify_consistency(old, size, consistency_proof(root_of, old, size), root_of(0, old - 1), root_of(0, size))
    print(f"\n{broken} broken proofs refused")


def test_a_tree_of_one_size_has_one_root() -> None:
    """No proof is needed, and none can make two roots one."""
    verify_consistency(5, 5, [], root_of(0, 5), root_of(0, 5))
    with pytest.raises(ProofError, match="two different roots of one size"):
        verify_consistency(5, 5, [], root_of(0, 5), root_of(0, 6))
    with pytest.raises(ProofError, match="no beginning"):
        verify_consistency(6, 5, [], root_of(0, 6), root_of(0, 5))
