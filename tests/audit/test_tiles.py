"""A tree in files gives the roots of the tree in memory, however it was written and taken up again."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from streams.audit.seal.tiles import Tiles, TileWriter, tile_path, unpack_entries
from streams.audit.verify.merkle import Frontier, consistency_proof, leaf_hash, verify_consistency

ENTRIES = [number.to_bytes(4, "big") * 20 for number in range(70_000)]


def test_paths_are_those_of_the_specification() -> None:
    """Its own examples."""
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(0, 273, 112) == "tile/0/273.p/112"
    assert tile_path("entries", 0) == "tile/entries/000"


def test_a_tree_of_70_000_has_the_tiles_of_the_specification(tmp_path: Path) -> None:
    """273 full ones and one of width 112, one full and one of width 17 above, one of width 1 on top."""
    writer = TileWriter(tmp_path, 0)
    writer.extend(ENTRIES)
    writer.flush()
    found = sorted(str(path.relative_to(tmp_path / "tile")) for path in tmp_path.rglob("*") if path.is_file())

    assert [path for path in found if ".p" in path] == ["0/273.p/112", "1/001.p/17", "2/000.p/1", "entries/273.p/112"]
    assert len(found) == 273 + 1 + 4 + 273


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_written_in_pieces_and_taken_up_again_it_is_the_same_tree(tmp_path: Path, seed: int) -> None:
    """Random pieces of up to 400, a new writer after each; roots, proofs and entries of every size that was flushed."""
    rng, sizes = random.Random(seed), [0]
    while sizes[-1] < 3000:
        writer = TileWriter(tmp_path, sizes[-1])
        writer.extend(ENTRIES[sizes[-1] : sizes[-1] + rng.randrange(1, 400)])
        writer.flush()
        sizes.append(writer.size)
    tree, roots = Frontier(), {0: Frontier().root()}
    for before, after in pairwise(sizes):
        tree.extend([leaf_hash(entry) for entry in ENTRIES[before:after]])
        roots[after] = tree.root()

    last = Tiles(tmp_path, sizes[-1])
    for size in sizes[1:]:
        assert Tiles(tmp_path, size).root_of(0, size) == roots[size] == last.root_of(0, size)
        verify_consistency(
            size, last.size, consistency_proof(last.root_of, size, last.size), roots[size], roots[last.size]
        )
    assert list(last.all_entries(300)) == ENTRIES[300 : sizes[-1]]


def test_a_writer_that_died_before_its_checkpoint_is_taken_up_before_it(tmp_path: Path) -> None:
    """Full tiles are there already; they are written again, and the tree is the same."""
    writer = TileWriter(tmp_path, 0)
    writer.extend(ENTRIES[:100])
    writer.flush()
    writer.extend(ENTRIES[100:600])  # two full tiles, and no flush
    again = TileWriter(tmp_path, 100)
    again.extend(ENTRIES[100:700])
    again.flush()
    tree = Frontier()
    tree.extend([leaf_hash(entry) for entry in ENTRIES[:700]])

    assert Tiles(tmp_path, 700).root_of(0, 700) == tree.root()
    assert Tiles(tmp_path, 100).root_of(0, 100) == Tiles(tmp_path, 700).root_of(0, 100)


def test_a_bundle_that_ends_in_the_middle_is_refused() -> None:
    """Whatever its length says."""
    for data in (b"\0", b"\0\5abc", b"\xff\xff"):
        with pytest.raises(ValueError, match="middle"):
            unpack_entries(data)
