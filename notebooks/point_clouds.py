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
# This notebook shows you how to train a small model of point clouds, generate new clouds with as many points as you
# like, and turn one into a surface. The data is chairs and tables that ptdiff generates itself.
#
# A cloud is a set: its points have no order, and their number can vary. A network for clouds treats all points alike
# and lets them attend to each other.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import torch
from PIL.Image import fromarray

from ptdiff.gallery import OF_RUN
from ptdiff.gallery.scene import Scene
from ptdiff.metrics import compare
from ptdiff.modality import registry
from ptdiff.model import Model
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
# ## Every batch has new points
#
# The shapes are surfaces. Every batch samples other points on them, determined by a seed, so the model learns the
# surface and not one set of points. The order of the points has no meaning, so shuffling the points must shuffle the
# network's output in the same way.

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
# The call is the same as for points and images. At small size it takes seconds, in which a network learns the outline
# of a chair at best. Eight minutes on two cores give the shapes in the README (`make demo`).

# %%
budget = {"steps": 250, "batch": 8, "shards": 1, "warmup": 10} if SMALL else {"steps": None, "minutes": 8.0}
place = Path(mkdtemp()) / "clouds"
run = train_run(
    place, {"modality": "pointcloud", "options": options, "training": budget, "sampling": {"steps": 8 if SMALL else 20}}
)
scene = Scene(Model.of(run, data=data))
samples = scene.samples(torch.arange(6), scene.labels(torch.arange(6)))
fromarray(kind.visualizer().sheet(samples.numpy(), ["chair", "table"] * 3))

# %% [markdown]
# ## Measuring quality
#
# Clouds are compared as sets (Chamfer or earth mover's distance), and *sets of clouds* by 1-NNA, coverage and MMD:
# `ptdiff eval RUN`. Here is only the quickest metric, compared with noise of the same spread.

# %%
many = torch.arange(16)
drawn = scene.samples(many, scene.labels(many))
reference, _ = data.train.batch(torch.arange(16), 2)
training, _ = data.train.batch(torch.arange(16) + 16, 2)
noise = torch.randn_like(drawn) * float(x.std())
for title, some in {"samples": drawn, "noise": noise}.items():
    print(title, {name: round(score.value, 4) for name, score in compare(some, reference, training).items()})

# %% [markdown]
# ## From noise to a shape

# %%
fromarray(OF_RUN["reverse"](scene))

# %% [markdown]
# ## From a cloud to a mesh
#
# `ptdiff mesh` makes watertight meshes from clouds. This example uses a cloud from the data, which has more detail
# than a sample at small size:

# %%
dense, _ = data.train.batch(torch.arange(1), 5)
mesh = kind.mesh(dense[0].numpy())
print(f"{mesh.faces} triangles, {mesh.components} parts, watertight: {mesh.watertight}")
assert mesh.faces > 100

# %% [markdown]
# ## Next steps
#
# ```
# ptdiff train -m pointcloud --data path/to/meshes --minutes 30
# ptdiff sample RUN -n 16 --points 4096 --out samples.npz
# ptdiff render samples.npz --turntable --out chairs.gif
# ptdiff complete RUN part.ply --out whole.ply
# ```
