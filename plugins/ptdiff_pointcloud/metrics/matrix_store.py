"""Distance matrices on disk: an evaluation that was interrupted goes on, and a second one finds them finished.

A file holds the SHA-256 of all that follows it as 64 digits and a line feed, then a line of JSON (what is kept), then
the matrix as .npy.  Its name and its line name the distance and the contents of both sets of clouds by their hashes,
so that no other matrix is ever taken for this one; one whose hash does not fit is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_DIGITS = 64


def content_hash(clouds: Tensor) -> str:
    """SHA-256 of the shape and the float32 values."""
    values = np.ascontiguousarray(clouds.detach().cpu().numpy(), dtype="<f4")
    return hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()


@dataclass(frozen=True)
class Matrix:
    """A matrix of the distance ``kind`` between the clouds with the hashes ``x`` and ``y``, kept in ``folder``."""

    folder: Path
    kind: str
    x: str
    y: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self.kind}-{self.x[:16]}-{self.y[:16]}.distances"

    def read(self, shape: tuple[int, int]) -> Tensor | None:
        """What was kept, float64 (k, l); None where nothing was.  ValueError for a file that is damaged."""
        if not self.path.exists():
            return None
        raw = self.path.read_bytes()
        digest, body = raw[:_DIGITS], raw[_DIGITS + 1 :]
        if hashlib.sha256(body).hexdigest().encode() != digest or not body.startswith(self._line()):
            raise ValueError(f"{self.path} is damaged; delete it to compute the distances anew")
        values = np.load(io.BytesIO(body[len(self._line()) :]), allow_pickle=False)
        if values.shape != shape or values.dtype != np.float64:
            raise ValueError(f"{self.path} is damaged: it holds {values.dtype} {values.shape}, not float64 {shape}")
        return torch.from_numpy(values)

    def write(self, distances: Tensor) -> None:
        """Replace the file at once."""
        buffer = io.BytesIO()
        np.save(buffer, distances.numpy(), allow_pickle=False)
        body = self._line() + buffer.getvalue()
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            part.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)

    def _line(self) -> bytes:
        return json.dumps({"distances": 1, "kind": self.kind, "x": self.x, "y": self.y}).encode() + b"\n"
