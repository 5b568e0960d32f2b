"""Notes from C3 to B4, and the pitch of any sound by least squares."""

from __future__ import annotations

import torch
from torch import Tensor

from ptdiff.metrics import Score, bootstrap
from ptdiff.modality import Comparison
from ptdiff.noise import Stream, uniform

RATE = 16_000
PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
OVERTONES = 6


def frequencies() -> Tensor:
    """Fundamental frequencies of 24 notes in Hz, equal temperament, A4 = 440 Hz."""
    return 440.0 * 2.0 ** ((torch.arange(24, dtype=torch.float64) - 21) / 12)


def notes(split: int, count: int, length: int) -> tuple[Tensor, Tensor]:
    """Return notes (count, 1, length) in [-1, 1] and their pitch classes (count,).

    Note i depends only on the split and i.  Octave, loudness, decay, brightness and phases are random.
    """
    pitch, *rest = uniform(split, Stream.DATA, torch.arange(count), 0, (4 + OVERTONES,)).T
    note = (24 * pitch).long()
    loudness, decay, brightness, phase = rest[0], 0.1 + 0.4 * rest[1], 1 + rest[2], torch.stack(rest[3:])
    t = torch.arange(length, dtype=torch.float64) / RATE
    sound = torch.zeros(count, length, dtype=torch.float64)
    for k in range(1, OVERTONES + 1):
        angle = 2 * torch.pi * (k * frequencies()[note, None] * t + phase[k - 1, :, None])
        sound += float(k) ** -brightness[:, None] * torch.sin(angle)
    sound *= torch.exp(-t / decay[:, None]) * (t / 0.005).clamp(max=1)
    sound *= (0.3 + 0.6 * loudness[:, None]) / sound.abs().amax(1, keepdim=True)
    return sound.float()[:, None], note % 12


def explained(x: Tensor) -> Tensor:
    """Share of the energy of sounds (n, 1, length) that each of 24 notes explains by its overtones: (n, 24)."""
    x = x.flatten(1).double()
    t = torch.arange(x.shape[1], dtype=torch.float64) / RATE
    shares = []
    for frequency in frequencies():
        angle = 2 * torch.pi * frequency * t * torch.arange(1, OVERTONES + 1)[:, None]
        basis, _ = torch.linalg.qr(torch.cat([angle.sin(), angle.cos()]).T)
        shares.append((x @ basis).square().sum(1))
    return torch.stack(shares, 1) / x.square().sum(1, keepdim=True).clamp(min=1e-12)


def tonality(sets: Comparison) -> Score:
    """Mean share of the energy that the nearest note explains: near 1 for a clean note, near 0 for noise."""
    return _mean(explained(sets.samples).amax(1), explained(sets.training).amax(1), sets.seed)


def accuracy(sets: Comparison) -> Score:
    """Share of sounds whose nearest note has the pitch class that was asked for; the floor is that of 1,000 notes."""
    assert sets.labels is not None
    real, label = notes(2, 1000, sets.samples.shape[-1])
    asked = sets.labels >= 0
    return _mean(_right(sets.samples[asked], sets.labels[asked]), _right(real, label), sets.seed)


def _right(x: Tensor, label: Tensor) -> Tensor:
    return (explained(x).argmax(1) % 12 == label).double()


def _mean(values: Tensor, real: Tensor, seed: int) -> Score:
    low, high = bootstrap(lambda which: float(values[which].mean()), len(values), rounds=1000, seed=seed)
    return Score(float(values.mean()), low, high, floor=float(real.mean()))


def spectra(x: Tensor) -> Tensor:
    """Return log magnitudes (n, bands, frames) of sounds (n, 1, length), which do not depend on phases."""
    window = min(512, x.shape[-1])
    z = torch.stft(x.flatten(1).float(), window, window // 2, window=torch.hann_window(window), return_complex=True)
    return torch.log10(z.abs() + 1e-2)
