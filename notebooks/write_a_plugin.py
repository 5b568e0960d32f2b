# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Write your own modality
#
# This notebook shows you how to teach ptdiff a new kind of data with one class of three methods. Training, every
# solver, guidance, evaluation and the command line then work at once.
#
# The data here is short melodies: the pitches of sixteen notes, which are only rounded to whole numbers when they are
# played. `examples/waves` is an example in its own package, and `docs/write-a-modality.md` describes the whole
# contract.

# %%
import os
import sys
from pathlib import Path
from tempfile import mkdtemp

from PIL.Image import fromarray

SMALL = os.environ.get("PTDIFF_NOTEBOOK_SIZE") == "small"

# %% [markdown]
# ## The class
#
# - `dataset()` returns the data: a shape, classes, splits. Here melodies are formulas: a line in a scale that rises,
#   falls or swings. Melody `i` depends only on `i` and the split, since the random numbers are counter-based.
# - `backbone(data)` returns a network `forward(x, angle, cond)`. `x` has unit variance at every noise level;
#   `LevelEmbedding` turns level and label into one vector.
# - `visualizer()` renders samples.
#
# The fields of the dataclass are its options, with their help texts. The cell writes the module into a folder on
# Python's path, as a package would.

# %%
SOURCE = '''
from dataclasses import dataclass

from ptdiff.modality import Data, Modality, TensorSplit, Visualizer, option

KINDS = ("rising", "falling", "swinging")


@dataclass(frozen=True)
class Melodies(Modality):
    """Sixteen notes that rise, fall or swing."""

    count: int = option(2000, "melodies to train on", least=1)
    notes: int = option(16, "notes of a melody", least=2)
    width: int = option(64, "channels of the network", least=1)

    def dataset(self):
        train, val = self._melodies(0, self.count), self._melodies(1, max(self.count // 10, 8))
        text = f"melodies: {self.count} of {self.notes} notes, {', '.join(KINDS)}"
        return Data((self.notes,), classes=KINDS, train=train, val=val, summary={"text": text}).measured()

    def _melodies(self, split, count):
        import torch

        from ptdiff.noise import Stream, uniform

        drawn = uniform(split, Stream.DATA, torch.arange(count), 0, (4,)).float()
        label = (drawn[:, 0] * 3).long()
        base, reach, turn = drawn[:, 1:2] * 12, 4 + drawn[:, 2:3] * 8, drawn[:, 3:4]
        t = torch.linspace(0, 1, self.notes)
        line = torch.stack([t.expand(count, -1), 1 - t.expand(count, -1), 0.5 + 0.5 * torch.sin(6.283 * (2 * t + turn))])
        return TensorSplit((base + reach * line[label, torch.arange(count)]).round(), label)

    def backbone(self, data):
        import torch
        from torch import nn

        from ptdiff.denoiser.embedding import LevelEmbedding

        class Network(nn.Module):
            def __init__(self, notes, width, classes):
                super().__init__()
                self.level = LevelEmbedding(width, classes)
                self.lift, self.head = nn.Linear(notes, width), nn.Linear(width, notes)
                self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
                self.scales = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(4))

            def forward(self, x, angle, cond):
                level, h = self.level(angle, cond), self.lift(x)
                for block, scales in zip(self.blocks, self.scales):
                    gain, shift = scales(level).chunk(2, dim=1)
                    h = h + block(torch.nn.functional.silu(nn.functional.layer_norm(h, h.shape[1:]) * (1 + gain) + shift))
                return self.head(h)

        return Network(self.notes, self.width, len(data.classes))

    def visualizer(self):
        return Roll()

    def recipe(self):
        return {"training": {"batch": 128, "steps": 1500, "inner_steps": 25}, "sampling": {"steps": 20}}

    def postprocess(self, samples, data):
        return samples.round()


class Roll(Visualizer):
    """A piano roll for each melody."""

    def sheet(self, samples, titles):
        import numpy as np

        from ptdiff.pictures.files import contact_sheet

        pictures = []
        for notes in samples:
            roll = np.full((32, len(notes), 3), 250, np.uint8)
            rows = np.clip(26 - np.round(notes).astype(int), 0, 31)
            roll[rows, np.arange(len(notes))] = (42, 111, 176)
            pictures.append(roll.repeat(3, axis=0).repeat(6, axis=1))
        return contact_sheet(pictures, list(titles) or None)
'''
folder = Path(mkdtemp())
(folder / "melodies.py").write_text(SOURCE)
sys.path.insert(0, str(folder))

# %% [markdown]
# ## Loading it by name
#
# `module:Class` names a modality that is not installed. On the command line this is
# `ptdiff train -m melodies:Melodies`. In Python, `trust` imports the class: a name in a file never does.

# %%
from ptdiff.modality import registry

registry.trust("melodies:Melodies")
kind = registry.load("melodies:Melodies", {"count": 500 if SMALL else 2000})
data = kind.dataset()
print(data.summary["text"])
x, cond = data.train.x[:9], data.train.label[:9]
fromarray(kind.visualizer().sheet(x.numpy(), [data.classes[i] for i in cond]))

# %% [markdown]
# ## Checking it
#
# The conformance kit checks what the rest of ptdiff relies on: batches are functions of id and seed, the network
# treats a missing label and -1 alike, and the visualizer returns valid images.
# `ptdiff plugin check melodies:Melodies` does the same.

# %%
from ptdiff.testing import check_modality

findings = list(check_modality("melodies:Melodies"))
for finding in findings:
    if finding.skipped is None:
        print("ok  " if finding.problem is None else "FAIL", finding.check, finding.problem or "")
assert all(finding.problem is None for finding in findings)

# %% [markdown]
# ## Training and sampling

# %%
from ptdiff.gallery import OF_RUN
from ptdiff.gallery.scene import Scene
from ptdiff.model import Model
from ptdiff.training.train import train_run

options = {"count": 500 if SMALL else 2000}
training = {"steps": 300} if SMALL else {}
run = train_run(folder / "run", {"modality": "melodies:Melodies", "options": options, "training": training})
scene = Scene(Model.of(run, data=data))
fromarray(OF_RUN["classes"](scene))

# %%
import torch

labels = torch.arange(60) % 3
melodies = scene.samples(torch.arange(60), {"label": labels})
rise = melodies[:, -1] - melodies[:, 0]
print("mean rise by class:", {name: round(float(rise[labels == i].mean()), 1) for i, name in enumerate(data.classes)})
assert rise[labels == 0].mean() > 1 > -1 > rise[labels == 1].mean()

# %% [markdown]
# ## Making it a package
#
# ```toml
# [project.entry-points."ptdiff.modalities.v1"]
# melodies = "melodies:Melodies"
# ```
#
# After `pip install .`, the name is simply `melodies`.
