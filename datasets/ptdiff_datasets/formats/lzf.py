"""LZF decompression (Lehmann 2000), the compression inside PCD files.

A control byte c below 32 copies the next c + 1 bytes of the input. Otherwise its upper three bits are a length (7: the
next byte is added), its lower five bits and the following byte a distance, and length + 2 bytes are repeated from
distance + 1 bytes back, possibly overlapping the bytes being written.
"""

LONGEST = 88
"""Maximum number of bytes that one byte can become: three bytes give at most 264."""


def decompress(data: bytes, length: int) -> bytes:
    """Decompress ``data`` to ``length`` bytes; ValueError, with the position, for invalid data."""
    out = bytearray()
    at, end = 0, len(data)
    while at < end:
        control = data[at]
        if control < 32:
            out += data[at + 1 : at + 2 + control]
            at += 2 + control
            if at > end:
                raise ValueError(f"the compressed data ends within a run at {end}")
        else:
            size = control >> 5
            at += 1
            if size == 7 and at < end:
                size += data[at]
                at += 1
            if at >= end:
                raise ValueError(f"the compressed data ends within a repetition at {end}")
            back = ((control & 31) << 8 | data[at]) + 1
            at += 1
            size += 2
            if back > len(out):
                raise ValueError(f"a repetition reaches before the beginning at {at}")
            piece = out[len(out) - back : len(out) - back + size]
            out += (piece * (size // back + 1))[:size]
        if len(out) > length:
            break
    if len(out) != length:
        raise ValueError(f"decompressed to {len(out)} bytes, not to the {length} claimed")
    return bytes(out)
