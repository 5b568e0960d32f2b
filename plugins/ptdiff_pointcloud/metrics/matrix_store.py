"""Distance matrices on disk: an interrupted evaluation continues, and a second one finds them finished.

A file holds the SHA-256 of all that follows as 64 digits and a line feed, then a line of JSON (what is stored), then
the matrix as ``.npy``. Its name and its JSON line contain the distance and the hashes of both sets of clouds, so that
no other matrix is ever mistaken for it; a file whose hash does not match is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ptdiff.documents.atomic import whole

_DIGITS = 64


def content_hash(clouds: Tensor) -> str:
    """SHA-256 of the shape and the float32 values."""
    values = np.ascontiguousarray(clouds.detach().cpu().numpy(), dtype="<f4")
    return hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()


@dataclass(frozen=True)
class Matrix:
    """A matrix of the distance ``kind`` between the clouds with the hashes ``x`` and ``y``, stored in ``folder``."""

    folder: Path
    kind: str
    x: str
    y: str

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.folder / f"{self.kind}-{self.x[:16]}-{self.y[:16]}.distances"

    def read(self, shape: tuple[int, int]) -> Tensor | None:
        """Read the stored matrix, float64 (k, l); None if there is none. ValueError for a damaged file."""
        if not self.path.exists():
            return None
        raw = self.path.read_bytes()
        digest, body = raw[:_DIGITS], raw[_DIGITS + 1 :]
        if hashlib.sha256(body).hexdigest().encode() != digest or not body.startswith(self._line()):
            raise ValueError(f"{self.path} is damaged; delete it to recompute the distances")
        values = np.load(io.BytesIO(body[len(self._line()) :]), allow_pickle=False)
        if values.shape != shape or values.dtype != np.float64:
            raise ValueError(f"{self.path} is damaged: it holds {values.dtype} {values.shape}, not float64 {shape}")
        return torch.from_numpy(values)

    def write(self, distances: Tensor) -> None:
        """Write the matrix, replacing the file atomically."""
        buffer = io.BytesIO()
        np.save(buffer, distances.numpy(), allow_pickle=False)
        body = self._line() + buffer.getvalue()
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole(self.path) as part:
            part.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)

    def _line(self) -> bytes:
        return json.dumps({"distances": 1, "kind": self.kind, "x": self.x, "y": self.y}).encode() + b"\n"
