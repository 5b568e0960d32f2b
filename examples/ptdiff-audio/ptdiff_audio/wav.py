"""WAV files: 16-bit, mono, 16 kHz.  Other files are refused, and large ones are never read whole."""

from __future__ import annotations

import hashlib
import io
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ptdiff.modality import Data, TensorSplit
from ptdiff_audio.notes import RATE

if TYPE_CHECKING:
    from ptdiff.modality import Array

MOST_FILES = 100_000


def encode(sample: Array) -> bytes:
    """Return the bytes of a WAV file of one sound (1, length); numbers beyond [-1, 1] are clipped."""
    numbers = np.nan_to_num(np.asarray(sample, dtype=np.float64).reshape(-1)).clip(-1, 1)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(numbers * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def write(path: Path, sample: Array) -> None:
    """Write one sound (1, length) to a WAV file."""
    path.write_bytes(encode(sample))


def read(path: Path, length: int) -> Array:
    """Read the first ``length`` samples, float32 (1, length) in [-1, 1]; OSError or ValueError for other files."""
    try:
        with wave.open(str(path), "rb") as file:
            found = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
            if found != (1, 16, RATE):
                raise ValueError(f"{path}: {found[0]} channels, {found[1]} bits, {found[2]} Hz; not 1, 16, {RATE}")
            content = file.readframes(length)
    # RuntimeError: wave seeks beyond the end of a damaged file
    except (wave.Error, EOFError, RuntimeError) as error:
        raise ValueError(f"{path}: no WAV file of 16-bit samples: {error or 'it is cut off'}") from error
    if len(content) != 2 * length:
        raise ValueError(f"{path}: {len(content) // 2} samples, fewer than length={length}")
    return np.frombuffer(content, dtype="<i2").astype(np.float32)[None] / 32767


def folder(path: Path, length: int) -> Data:
    """Read all WAV files of a folder; the names of its subfolders are the classes.

    A tenth is held out, chosen by a hash of the file's content, so that copies of a sound are in one split.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".wav")
    if not path.is_dir() or not files:
        raise FileNotFoundError(f"{path}: no folder with .wav files")
    if len(files) > MOST_FILES:
        raise ValueError(f"{path}: {len(files)} files, more than {MOST_FILES}")
    names = [file.relative_to(path).parts[0] if file.parent != path else "" for file in files]
    classes = tuple(sorted(set(names)))
    if len(classes) > 1 and "" in classes:
        raise ValueError(f"{path}: files beside subfolders, whose names are the classes: {files[names.index('')].name}")
    sounds = np.stack([read(file, length) for file in files])
    held = np.array([hashlib.sha256(sound.tobytes()).digest()[0] < 26 for sound in sounds])
    if held.all() or not held.any():
        raise ValueError(f"{path}: {len(files)} files are too few to hold some out")
    train, val = (torch.from_numpy(one) for one in (~held, held))
    x, facts = torch.from_numpy(sounds), {"text": f"{len(files)} sounds of {path.name}, {int(held.sum())} held out"}
    if len(classes) < 2:
        return Data((1, length), train=TensorSplit(x[train]), val=TensorSplit(x[val]), summary=facts)
    label = torch.tensor([classes.index(name) for name in names])
    splits = {"train": TensorSplit(x[train], label[train]), "val": TensorSplit(x[val], label[val])}
    return Data((1, length), classes=classes, summary=facts, **splits)
