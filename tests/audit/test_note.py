"""Signed notes and checkpoints: somebody else's are read and believed, ours survive nothing that changes them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.verify.note import (
    Checkpoint,
    Note,
    NoteError,
    cosign,
    log_key,
    parse_checkpoint,
    parse_key,
    parse_note,
    sign,
    verify,
    witness_key,
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "icn.example/audit/cluster/icn.metrics/topic/0"
TEXT = Checkpoint(ORIGIN, 1234, bytes(32)).text

# tree heads that the Go checksum database signed, as the go command keeps them; and its key, pinned in the go command
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_HEADS = [
    (3935567, "SapHtgdNCeF00Cx8kqztePV24kgzNg++Xovae42HAMw=",
     "Az3grsm7Wm4CVNR1RHq9BFnu9jzcRlU2uw7lr0gfUWgO6+rqPNjT+fUTl9gH0NRTgdwW9nItuQSMbhSaLCsk8YeYSAs="),
    (6476701, "mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=",
     "Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw="),
    (65209736, "5+uGFjx6xBZG8ip1+wi77v+grwbhhukIrxEUS8PXvRo=",
     "Az3grnbssgK7ubgFX36gVETtNv0U23qxyAhAMai2QUfeGa3nB/akvkMdlUErfcZz7l/R3cVtYspg3dxXABkGZZKdsQ8="),
]  # fmt: skip


@pytest.mark.parametrize(("size", "root", "signature"), GO_HEADS)
def test_a_checkpoint_of_the_go_checksum_database_verifies(size: int, root: str, signature: str) -> None:
    """Somebody else's bytes, somebody else's key; one digit more, and it is not theirs."""
    note = parse_note(f"go.sum database tree\n{size}\n{root}\n\n\u2014 sum.golang.org {signature}\n".encode())
    verify(note, parse_key(GO_KEY))

    assert parse_checkpoint(note.text).size == size
    with pytest.raises(NoteError, match="does not fit"):
        verify(Note(note.text.replace(str(size), f"{size}0"), note.signatures), parse_key(GO_KEY))


def test_the_example_of_the_note_format_verifies() -> None:
    """From the documentation of Go's note package."""
    key = parse_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = parse_note(
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n".encode()
    )
    verify(note, key)


def test_ours_survive_the_wire_with_a_witness() -> None:
    """Written, read, verified with keys that were written and read; the witness says when."""
    note = Note(TEXT, (sign(TEXT, ORIGIN, PRIVATE), cosign(TEXT, "w.example", PRIVATE, 1_800_000_000)))
    read = parse_note(str(note).encode())

    assert read == note
    assert verify(read, parse_key(str(log_key(ORIGIN, PRIVATE)))) is None
    assert verify(read, parse_key(str(witness_key("w.example", PRIVATE)))) == 1_800_000_000
    assert parse_checkpoint(read.text) == Checkpoint(ORIGIN, 1234, bytes(32))


def test_every_flipped_bit_of_a_note_is_noticed() -> None:
    """8 flips of each byte: it is no note, not of this key, or the signature does not fit."""
    data, key = str(Note(TEXT, (sign(TEXT, ORIGIN, PRIVATE),))).encode(), log_key(ORIGIN, PRIVATE)
    for at in range(len(data)):
        for bit in range(8):
            flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            with pytest.raises(NoteError):
                verify(parse_note(flipped), key)
    print(f"\n{8 * len(data)} flips noticed")


@pytest.mark.parametrize(
    "text",
    ["", "o\n1\n", "o\n01\nAAAA\n", f"o\n-1\n{'A' * 43}=\n", f"o\n1\n{'A' * 43}=\nextension\n", "o\n1\nAAAA\n", f"\n1\n{'A' * 43}=\n"],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Missing lines, leading zeros, signs, short roots, extensions."""
    with pytest.raises(NoteError):
        parse_checkpoint(text)


@pytest.mark.parametrize("key", ["", "a", "a+00000000+AA==", GO_KEY.replace("033de0ae", "033de0af"), "a b+1+x"])
def test_what_is_no_key_is_refused(key: str) -> None:
    """Also one whose id is not its own."""
    with pytest.raises(NoteError):
        parse_key(key)
