"""Spectrograms of sounds, and the sounds themselves for players."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptdiff.modality import Media, Visualizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ptdiff.modality import Array, Image

COLUMNS, HIGHEST = 4, 4000


class Spectrograms(Visualizer):
    """A spectrogram of each sound up to 4 kHz, and a player on pages."""

    many = 12

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """Plot samples (n, 1, length): time to the right, frequency up, loudness as color."""
        from ptdiff.pictures.plot import picture

        columns = min(COLUMNS, len(samples))
        rows = -(-len(samples) // columns)
        return picture(1.7 * rows, 2 * columns)(_plot)(samples, titles, rows, columns)

    def media(self, sample: Array) -> Media:
        """Return the sound as a WAV file."""
        from ptdiff_audio.wav import encode

        return Media("audio/wav", encode(sample))


def _plot(figure: Figure, samples: Array, titles: Sequence[str], rows: int, columns: int) -> None:
    import torch

    from ptdiff_audio.notes import RATE, spectra

    length = samples.shape[-1]
    loud = spectra(torch.from_numpy(samples).float())
    shown = max(2, loud.shape[1] * 2 * HIGHEST // RATE)
    for i, one in enumerate(loud[:, :shown]):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(one, origin="lower", aspect="auto", cmap="magma", vmin=-2, vmax=2, extent=(0, length / RATE, 0, 4))
        axes.grid(visible=False)
        axes.set_title(titles[i] if titles else "", parse_math=False)
        if i == (rows - 1) * columns:
            axes.set_xlabel("s")
            axes.set_ylabel("kHz")
