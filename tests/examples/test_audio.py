"""The notes and WAV files of the example: pitches are those of their names, and only whole 16 kHz files are read."""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "ptdiff-audio"))

from ptdiff_audio import Audio
from ptdiff_audio.notes import PITCHES, RATE, accuracy, explained, frequencies, notes, tonality
from ptdiff_audio.wav import encode, folder, read, write

from ptdiff.modality import Comparison

LENGTH = 512


def note(i: int) -> np.ndarray:
    return notes(0, 64, LENGTH)[0][i].numpy()


def test_notes_have_the_pitch_of_their_name() -> None:
    assert frequencies()[PITCHES.index("A") + 12] == 440 and frequencies()[0] == pytest.approx(130.81, abs=0.01)
    x, label = notes(0, 300, 4096)
    assert x.shape == (300, 1, 4096) and float(x.abs().max()) <= 1
    assert torch.equal(explained(x).argmax(1) % 12, label)
    assert set(label.tolist()) == set(range(12))
    assert explained(torch.randn(50, 1, 4096, generator=torch.Generator().manual_seed(0))).max() < 0.05


def test_a_note_depends_on_its_split_and_number_alone() -> None:
    assert torch.equal(notes(0, 5, LENGTH)[0], notes(0, 9, LENGTH)[0][:5])
    assert torch.cdist(notes(0, 50, LENGTH)[0].flatten(1), notes(1, 50, LENGTH)[0].flatten(1)).min() > 1e-2


def test_scores_know_wrong_notes_and_noise() -> None:
    x, label = notes(3, 60, 4096)
    right = Comparison(x, x, x, labels=label)
    assert accuracy(right).value == accuracy(right).floor == 1
    shifted = accuracy(Comparison(x, x, x, labels=(label + (torch.arange(60) % 4 == 0)) % 12))
    assert shifted.value == 0.75 and shifted.low < 0.75 < shifted.high
    assert tonality(right).value == tonality(right).floor > 0.8
    assert tonality(Comparison(torch.randn_like(x), x, x)).high < 0.05


def test_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", note(0))
    assert np.abs(read(tmp_path / "a.wav", LENGTH) - note(0)).max() <= 0.5 / 32767 + 1e-7
    assert np.array_equal(read(tmp_path / "a.wav", 100), read(tmp_path / "a.wav", LENGTH)[:, :100])
    write(tmp_path / "b.wav", np.array([[2.0, -2.0, np.nan]]))
    assert read(tmp_path / "b.wav", 3).tolist() == [[1.0, -1.0, 0.0]]


@pytest.mark.parametrize(
    ("channels", "width", "rate", "words"),
    [(2, 2, RATE, "2 channels"), (1, 1, RATE, "8 bits"), (1, 2, 44_100, "44100 Hz"), (1, 3, RATE, "24 bits")],
)
def test_other_sounds_are_refused_with_what_they_are(
    tmp_path: Path, channels: int, width: int, rate: int, words: str
) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(channels * width * LENGTH))
    with pytest.raises(ValueError, match=words):
        read(tmp_path / "a.wav", LENGTH)


def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    good, path, random = encode(note(0)), tmp_path / "a.wav", np.random.default_rng(0)
    spoiled = [b"", b"RIFF", b"no sound at all", *(good[:n] for n in range(0, len(good) - 1, 37))]
    for _ in range(400):
        bad = bytearray(good)
        for at in random.integers(0, 44, size=2):
            bad[at] = random.integers(0, 256)
        spoiled.append(bytes(bad))
    said = []
    for content in spoiled:
        path.write_bytes(content)
        try:
            assert read(path, LENGTH).shape == (1, LENGTH)
        except (ValueError, OSError) as error:
            said.append(str(error))
    assert len(said) > 300
    assert all("\n" not in line and "a.wav" in line for line in said)


def test_a_folder_has_its_subfolders_as_classes_and_copies_in_one_split(tmp_path: Path) -> None:
    for name, first in (("bass", 0), ("flute", 30)):
        (tmp_path / name).mkdir()
        for i in range(first, first + 30):
            for copy in ("a", "b"):
                write(tmp_path / name / f"{i}{copy}.wav", note(i))
    data = Audio(data=str(tmp_path), length=LENGTH).dataset()
    assert data.classes == ("bass", "flute") and data.shape == (1, LENGTH)
    assert data.train is not None and data.val is not None
    (x, cond), (y, _) = (s.batch(torch.arange(len(s)), 0) for s in (data.train, data.val))
    assert len(x) + len(y) == 120 and len(y) > 0 and set(cond["label"].tolist()) == {0, 1}
    assert torch.cdist(x.flatten(1), y.flatten(1)).min() > 1e-3


def test_folders_that_cannot_be_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder with \.wav files"):
        folder(tmp_path, LENGTH)
    write(tmp_path / "a.wav", note(0))
    with pytest.raises(ValueError, match="too few to hold some out"):
        folder(tmp_path, LENGTH)
    (tmp_path / "bass").mkdir()
    write(tmp_path / "bass" / "b.wav", note(1))
    with pytest.raises(ValueError, match=r"beside subfolders.*a\.wav"):
        folder(tmp_path, LENGTH)
    with pytest.raises(ValueError, match="fewer than length"):
        read(tmp_path / "a.wav", LENGTH + 1)
    with pytest.raises(ValueError, match="multiple of 64, such as 512"):
        Audio(length=500).dataset()
