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
# # Point clouds
#
# A cloud is a set: its points have no order, and there may be more or fewer of them.  A network for clouds treats all points alike and lets
# them look at each other.  This notebook trains a small one on shapes that ptdiff makes itself, chairs and tables, draws new ones with as
# many points as you like, and makes a surface of one.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import torch
from PIL.Image import fromarray

from ptdiff.gallery import OF_RUN
from ptdiff.gallery.subject import Subject
from ptdiff.metrics import compare
from ptdiff.modality import registry
from ptdiff.training.train import train_run

SMALL = os.environ.get("PTDIFF_NOTEBOOK_SIZE") == "small"
options = {"classes": ["chair", "table"]}
if SMALL:
    options |= {"shapes_per_class": 24, "points": 128, "dense": 1024, "size": "tiny"}

kind = registry.load("pointcloud", options)
data = kind.dataset()
print(data.summary["text"])
x, cond = data.train.batch(torch.arange(6), 0)
fromarray(kind.visualizer().sheet(x.numpy(), [data.classes[i] for i in cond["label"]]))

# %% [markdown]
# ## Points are drawn anew
#
# The shapes are surfaces; every batch draws other points of them, addressed by a seed.  That is why the model learns the surface and
# not one set of points.  The order of the points says nothing, and the network must not care: shuffling the points shuffles its output.

# %%
again, _ = data.train.batch(torch.arange(6), 1)
print("the same shapes, other points:", float((x - again).abs().mean()))
network = kind.backbone(data).eval()
for parameter in network.parameters():
    torch.nn.init.normal_(parameter, std=0.05) if parameter.dim() > 1 else None
angle, order = torch.full((6,), 0.7), torch.randperm(x.shape[1])
with torch.no_grad():
    straight, shuffled = network(x, angle, cond), network(x[:, order], angle, cond)
print("largest difference:", float((straight[:, order] - shuffled).abs().max()), "of", float(straight.abs().max()))
assert torch.allclose(straight[:, order], shuffled, atol=1e-3 * float(straight.abs().max()) + 1e-5)

# %% [markdown]
# ## Training
#
# The same call as for points and images.  At small size it runs for seconds, which teaches a network the outline of a chair at best; eight
# minutes on two cores make the shapes of the README (`make demo`).

# %%
budget = {"steps": 250, "batch": 8, "shards": 1, "warmup": 10} if SMALL else {"steps": None, "minutes": 8.0}
place = Path(mkdtemp()) / "clouds"
run = train_run(
    place, {"modality": "pointcloud", "options": options, "training": budget, "sampling": {"steps": 8 if SMALL else 20}}
)
subject = Subject.of(run, data=data)
samples = subject.samples(torch.arange(6), subject.labels(torch.arange(6)))
fromarray(kind.visualizer().sheet(samples.numpy(), ["chair", "table"] * 3))

# %% [markdown]
# ## How good
#
# Clouds are compared as sets (Chamfer or earth mover's distance), and *sets of clouds* by 1-NNA, coverage and MMD: `ptdiff eval RUN`.
# Here only the quickest figure, against noise of the same spread.

# %%
many = torch.arange(16)
drawn = subject.samples(many, subject.labels(many))
reference, _ = data.train.batch(torch.arange(16), 2)
training, _ = data.train.batch(torch.arange(16) + 16, 2)
noise = torch.randn_like(drawn) * float(x.std())
for title, some in {"samples": drawn, "noise": noise}.items():
    print(title, {name: round(score.value, 4) for name, score in compare(some, reference, training).items()})

# %% [markdown]
# ## The way from noise to a shape

# %%
fromarray(OF_RUN["reverse"](subject))

# %% [markdown]
# ## A surface
#
# `ptdiff mesh` makes watertight meshes of clouds.  Of a real one, so that there is something to see:

# %%
dense, _ = data.train.batch(torch.arange(1), 5)
mesh = kind.mesh(dense[0].numpy())
print(f"{mesh.faces} triangles, {mesh.components} parts, watertight: {mesh.watertight}")
assert mesh.faces > 100

# %% [markdown]
# ## From here
#
# ```
# ptdiff train -m pointcloud --data path/to/meshes --minutes 30
# ptdiff sample RUN -n 16 --points 4096 --out samples.npz
# ptdiff render samples.npz --turntable --out chairs.gif
# ptdiff complete RUN part.ply --out whole.ply
# ```
