"""Addresses: a shape's id as a 64-bit number, so that what is random about it depends on nothing else."""

import hashlib


def address(stream: str, name: str) -> int:
    """A number in [0, 2**64), uniform over names, independent between streams."""
    text = name.encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(text, digest_size=8, person=stream.encode()).digest()
    return int.from_bytes(digest, "little")


def fraction(stream: str, name: str) -> float:
    """The same as a number in [0, 1)."""
    return address(stream, name) / 2**64
