"""C2SP signed-note and tlog-checkpoint: a text, an empty line, and lines of signatures. Needs nothing but `cryptography`.

<origin>\n<size, decimal>\n<root, base64>\n
\n
— <key's name> base64(key id (4) | signature)\n

key id            first four bytes of SHA-256(name | 0x0A | type | public key)
type 0x01         Ed25519 over the text
type 0x04         cosignature/v1: (time (8) | Ed25519 over "cosignature/v1\ntime <seconds>\n" | text)
verifier key      <name>+<key id, hex>+base64(type | public key)
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519, COSIGNATURE = 0x01, 0x04
NOTE_BYTES_MAX = 1 << 16
DASH = "\u2014 "


class NoteError(ValueError):
    """No note, or not of this key."""


class Key(NamedTuple):
    """Who can be believed: a verifier key."""

    name: str
    kind: int  # ED25519 or COSIGNATURE
    public: bytes  # 32

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"


def parse_key(text: str) -> Key:
    """From its text form. Raises NoteError."""
    parts = text.strip().split("+", 2)
    try:
        name, id_, data = parts[0], bytes.fromhex(parts[1]), _from_base64(parts[2])
    except (IndexError, ValueError) as error:
        raise NoteError(f"no verifier key: {text.strip()[:80]!r}; one is name+8 hex digits+base64") from error
    if len(data) != 33 or data[0] not in (ED25519, COSIGNATURE) or not _is_name(name):
        raise NoteError(f"no Ed25519 verifier key: {text.strip()[:80]!r}")
    key = Key(name, data[0], data[1:])
    if key.id != id_:
        raise NoteError(f"verifier key {name}: its id should be {key.id.hex()}, it says {id_.hex()}")
    return key


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


def _from_base64(text: str) -> bytes:
    """Raises ValueError, also for another text of the same bytes: the last digit has bits that mean nothing."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not the base64 of its bytes")
    return data


class Signature(NamedTuple):
    """One line of a note."""

    name: str
    key_id: bytes
    data: bytes

    def __str__(self) -> str:
        return f"{DASH}{self.name} {base64.b64encode(self.key_id + self.data).decode()}\n"


class Note(NamedTuple):
    """A text and who signed it."""

    text: str  # with its last newline
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"


def parse_note(data: bytes) -> Note:
    """Raises NoteError. Signatures are not verified here."""
    if len(data) > NOTE_BYTES_MAX:
        raise NoteError(f"a note of {len(data)} bytes; {NOTE_BYTES_MAX} is the most")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise NoteError("a note that is not UTF-8") from error
    if any((ord(c) < 0x20 and c != "\n") for c in whole):
        raise NoteError("a note with control characters")
    text, gap, lines = whole.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise NoteError("a note is a text, an empty line and signature lines")
    signatures = []
    for line in lines[:-1].split("\n"):
        name, _, encoded = line.removeprefix(DASH).partition(" ")
        try:
            raw = _from_base64(encoded)
        except ValueError as error:
            raise NoteError(f"no signature line: {line[:80]!r}") from error
        if not line.startswith(DASH) or not _is_name(name) or len(raw) < 5:
            raise NoteError(f"no signature line: {line[:80]!r}")
        signatures.append(Signature(name, raw[:4], raw[4:]))
    return Note(text + "\n", tuple(signatures))


def sign(text: str, name: str, private: Ed25519PrivateKey) -> Signature:
    """The log's own signature."""
    return Signature(name, log_key(name, private).id, private.sign(text.encode()))


def log_key(name: str, private: Ed25519PrivateKey) -> Key:
    """What verifies `sign`."""
    return Key(name, ED25519, private.public_key().public_bytes_raw())


def cosign(text: str, name: str, private: Ed25519PrivateKey, at_s: int) -> Signature:
    """A witness's: it also says when it saw the text [seconds since 1970]."""
    data = at_s.to_bytes(8, "big") + private.sign(_cosigned(text, at_s))
    return Signature(name, witness_key(name, private).id, data)


def witness_key(name: str, private: Ed25519PrivateKey) -> Key:
    """What verifies `cosign`."""
    return Key(name, COSIGNATURE, private.public_key().public_bytes_raw())


def _cosigned(text: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def verify(note: Note, key: Key) -> int | None:
    """That this key signed it; of a cosignature, when [seconds]. Raises NoteError: not signed by it, or not truly."""
    mine = [s for s in note.signatures if s.name == key.name and s.key_id == key.id]
    if not mine:
        raise NoteError(f"not signed by {key.name}+{key.id.hex()}")
    public, at_s = Ed25519PublicKey.from_public_bytes(key.public), None
    for signature in mine:
        data, message = signature.data, note.text.encode()
        if key.kind == COSIGNATURE:
            at_s, data = int.from_bytes(data[:8], "big"), data[8:]
            message = _cosigned(note.text, at_s)
        try:
            public.verify(data, message)
        except InvalidSignature as error:
            raise NoteError(f"the signature of {key.name}+{key.id.hex()} does not fit") from error
    return at_s


class Checkpoint(NamedTuple):
    """What a log commits to."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Raises NoteError. Extension lines are refused: nobody could audit them."""
    lines: Sequence[str] = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise NoteError(f"a checkpoint has three lines, this has {len(lines) - 1}")
    origin, size, root = lines[:3]
    try:
        number, hashed = int(size), _from_base64(root)
    except ValueError as error:
        raise NoteError("a checkpoint's second line is a number, its third base64") from error
    if not origin or str(number) != size or number < 0 or len(hashed) != 32:
        raise NoteError("a checkpoint's size has no sign and no leading zero, its root 32 bytes")
    return Checkpoint(origin, number, hashed)
