"""LZF (Lehmann, 2000), the compression inside PCD files: decompression alone.

A control byte below 32 copies so many bytes plus one from the input.  Else its upper three bits are a length (7: the
next byte is added), its lower five and the following byte a distance, and length + 2 bytes are repeated from distance
+ 1 bytes back, which may reach into what is being written.
"""

LONGEST = 88
"""The most bytes that one byte can become: three bytes give at most 264."""


def decompress(data: bytes, length: int) -> bytes:
    """The `length` bytes that `data` holds; ValueError, with the place, for anything else."""
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
                raise ValueError(f"a repetition from before the beginning at {at}")
            piece = out[len(out) - back : len(out) - back + size]
            out += (piece * (size // back + 1))[:size]
        if len(out) > length:
            break
    if len(out) != length:
        raise ValueError(f"{len(out)} bytes came out where {length} are claimed")
    return bytes(out)
