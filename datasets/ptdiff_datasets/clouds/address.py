"""Stable 64-bit addresses of shape ids, so that a shape's random numbers depend on nothing but its id."""

import hashlib


def address(stream: str, name: str) -> int:
    """Hash ``name`` to an integer in [0, 2**64): uniform over names, independent between streams."""
    text = name.encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(text, digest_size=8, person=stream.encode()).digest()
    return int.from_bytes(digest, "little")


def fraction(stream: str, name: str) -> float:
    """Hash ``name`` to a number in [0, 1), as :func:`address`."""
    return address(stream, name) / 2**64
