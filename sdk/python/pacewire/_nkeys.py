"""Keys of NATS (nkeys): reading a seed, the public key that belongs to it, signing what the server asks to be signed."""
from __future__ import annotations

import base64
import binascii
from typing import Callable, Tuple

_SEED = 18 << 3  # makes an S
_KINDS = {20 << 3: "U", 13 << 3: "N", 2 << 3: "C", 14 << 3: "O", 0: "A", 23 << 3: "X"}


def decode_seed(seed: str) -> tuple[int, bytes]:
    """What kind of key a seed makes, as its prefix byte, and the 32 bytes of the private key. Raises ValueError."""
    text = seed.strip()
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        raise ValueError("nkey seed: not base32") from None  # never the text: it is secret
    if len(raw) != 36:
        raise ValueError(f"nkey seed: {len(raw)} bytes, want 36")
    if _crc16(raw[:-2]) != int.from_bytes(raw[-2:], "little"):
        raise ValueError("nkey seed: its checksum is wrong")
    kind = (raw[0] & 7) << 5 | raw[1] >> 3
    if raw[0] & 0xF8 != _SEED or kind not in _KINDS:
        raise ValueError("nkey seed: it is no seed, which begins with S")
    return kind, raw[2:34]


def encode_public(kind: int, key: bytes) -> str:
    """The text of a public key of 32 bytes."""
    raw = bytes([kind]) + key
    return base64.b32encode(raw + _crc16(raw).to_bytes(2, "little")).decode().rstrip("=")


def signer(seed: str) -> Tuple[str, Callable[[bytes], str]]:
    """The public key of a seed, and what signs by it. Raises RuntimeError where there is no module for ed25519."""
    kind, private = decode_seed(seed)
    public, sign = _ed25519(private)
    return encode_public(kind, public), lambda nonce: base64.urlsafe_b64encode(sign(nonce)).decode().rstrip("=")


def _ed25519(private: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    except ImportError:
        pass
    else:
        key = Ed25519PrivateKey.from_private_bytes(private)
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), key.sign
    try:
        from nacl.signing import SigningKey
    except ImportError:
        raise RuntimeError("an nkey needs ed25519, which Python does not bring: install the package cryptography or pynacl") from None
    signing = SigningKey(private)
    return bytes(signing.verify_key), lambda nonce: bytes(signing.sign(nonce).signature)


def _crc16(data: bytes) -> int:
    return binascii.crc_hqx(data, 0)  # CRC-16/XMODEM, polynomial 0x1021
