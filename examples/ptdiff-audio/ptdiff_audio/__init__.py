"""Audio as a modality of ptdiff: notes of a quarter of a second at 16 kHz, generated or from a folder of WAV files.

notes.py     generated notes, and the pitch of any sound
wav.py       16-bit WAV files
network.py   a dilated convolutional network on patches of samples
plot.py      spectrograms, and sound for players
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.modality import Comparison, Data, EvaluationProtocol, Measurement, Modality, TensorSplit, Visualizer, option

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ptdiff.modality import Array, Writer


@dataclass(frozen=True)
class Audio(Modality):
    """Sounds at 16 kHz: generated notes with their pitch class, or a folder of WAV files."""

    data: str = option("", "folder of 16-bit mono WAV files at 16 kHz, one subfolder per class; default: notes")
    count: int = option(6000, "generated training notes", least=24, most=10**6)
    length: int = option(4096, "samples of each sound, a multiple of 64; longer files are cut", least=64, most=2**18)
    width: int = option(128, "channels of the network", least=8, most=2048)

    def dataset(self) -> Data:
        """Return sounds, float32 (1, length) in [-1, 1], each with its class."""
        if self.length % 64:
            raise ValueError(f"length={self.length}: must be a multiple of 64, such as {self.length // 64 * 64 + 64}")
        if self.data:
            from ptdiff_audio.wav import folder

            return folder(Path(self.data), self.length).measured()
        from ptdiff_audio.notes import PITCHES, RATE, notes

        train, val = (TensorSplit(*notes(i, n, self.length)) for i, n in enumerate((self.count, self.count // 6)))
        text = f"{self.count} notes of {self.length / RATE:.3g} s, {', '.join(PITCHES)}"
        data = Data((1, self.length), classes=PITCHES, train=train, val=val, summary={"text": text, "notes": True})
        return data.measured()

    def backbone(self, data: Data) -> nn.Module:
        """Build the network."""
        from ptdiff_audio.network import Network

        return Network(self.width, len(data.classes))

    def visualizer(self) -> Visualizer:
        """Return the visualizer of spectrograms."""
        from ptdiff_audio.plot import Spectrograms

        return Spectrograms()

    def recipe(self) -> Mapping[str, Any]:
        """Return the default training and sampling settings."""
        return {"training": {"batch": 32, "steps": 6000}, "sampling": {"solver": "heun", "steps": 30}}

    def postprocess(self, samples: Tensor, data: Data) -> Tensor:
        """Clip to the range of WAV files."""
        return samples.clamp(-1, 1)

    def formats(self) -> Mapping[str, Writer]:
        """Return the writer of WAV files."""
        from ptdiff_audio.wav import write

        return {"wav": write}

    def read(self, path: Path) -> Array:
        """Read a WAV file of at least ``length`` samples."""
        from ptdiff_audio.wav import read

        return read(path, self.length)

    def protocols(self) -> Mapping[str, EvaluationProtocol]:
        """Return the one protocol."""
        return {"notes": EvaluationProtocol("distances of spectra to held-out sounds; for notes, also their pitch")}

    def compare(self, comparison: Comparison, protocol: str | None = None) -> Measurement:
        """Compare spectra, and count the notes of the pitch class that was asked for."""
        from ptdiff_audio.notes import accuracy, spectra, tonality

        sets = (spectra(x) for x in (comparison.samples, comparison.reference, comparison.training))
        names = ("samples", "reference", "training")
        scores = super().compare(replace(comparison, **dict(zip(names, sets, strict=True))), protocol).scores
        scores["tonality"] = tonality(comparison)
        if comparison.labels is not None and not self.data:
            scores["pitch_accuracy"] = accuracy(comparison)
        return Measurement(scores)
