"""The classifier that scores images: trained on the labeled training images of the data, and cached.

As many training images as there are held-out ones, but at most half of them, are excluded from its training: features
of images it was fitted on differ from those of all others, so a floor must be measured on images it has not seen.

Its recipe is fixed, so that two runs on the same images are scored alike. It is stored in the cache folder under the
SHA-256 of the images, the labels and the recipe. Scores made with it carry its name (``fid_lenet``): they differ from
those of the Inception network and are comparable only with each other.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from ptdiff.documents.atomic import whole
from ptdiff.modality import Progress
from ptdiff.modality.data import Data, Split, unaugmented
from ptdiff_datasets.cache import default_cache
from ptdiff_images.metrics.lenet import LeNet

_BLOCK = 1024


@dataclass(frozen=True)
class Recipe:
    """Adam on cross entropy with a linear warm-up over a tenth of the steps, then half a cosine.

    seen: number of images shown in all, but none more than ``passes`` times.
    """

    seen: int = 200_000
    passes: int = 40
    batch: int = 100
    lr: float = 2e-3
    seed: int = 0
    version: int = 2  # of the network and of everything that is not a number here


@dataclass(frozen=True)
class Classifier:
    """A trained network and its origin.

    accuracy: fraction of ``held_out`` labeled images, not trained on, that it classifies correctly.
    digest: SHA-256 of the images, labels and recipe that it was made from.
    unseen: (k,) int64, the training images that it was not fitted on.
    """

    net: LeNet
    accuracy: float
    held_out: int
    digest: str
    unseen: Tensor

    @torch.inference_mode()
    def features(self, x: Tensor) -> Tensor:
        """Return features (n, d), float64, of images x (n, *shape) in world units."""
        return torch.cat([self.net.features(part) for part in torch.split(x.float(), _BLOCK)]).double()

    @torch.inference_mode()
    def read(self, x: Tensor) -> Tensor:
        """Classify images x (n, *shape) in world units; returns class indices (n,)."""
        return torch.cat([self.net(part).argmax(1) for part in torch.split(x.float(), _BLOCK)])


def classifier(
    data: Data, folder: Path | None = None, progress: Progress | None = None, recipe: Recipe | None = None
) -> Classifier:
    """Load the classifier of labeled images from ``folder`` (default: the cache), or train it and store it there.

    ValueError for data without labels or without held-out images, or if the stored file is damaged.
    """
    recipe = recipe or Recipe()
    if not data.classes or data.train is None or data.val is None:
        raise ValueError("a classifier needs labeled images, some of them held out")
    train = unaugmented(data.train)
    digest = _digest(train, data.val, recipe)
    path = (folder or default_cache() / "classifiers") / f"lenet-{digest[:20]}.safetensors"
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(recipe.seed))
    unseen, fitted = order.tensor_split([min(len(data.val), len(train) // 2)])
    if not path.exists():
        net = _train(data, train, fitted, recipe, progress)
        _write(path, net, {"digest": digest, "recipe": json.dumps(asdict(recipe)), **_accuracy(net, data.val)})
    return _read(path, _empty(data, recipe.seed), digest, unseen.sort().values)


def _empty(data: Data, seed: int) -> LeNet:
    """Build an untrained network, leaving torch's global random state alone."""
    colors, height, width = data.shape
    zero, one = data.world(torch.zeros(data.shape)), data.world(torch.ones(data.shape))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LeNet((colors, height, width), len(data.classes), zero[:, :1, :1], float((one - zero).mean()))


def _train(data: Data, train: Split, fitted: Tensor, recipe: Recipe, progress: Progress | None) -> LeNet:
    steps = max(1, min(recipe.seen, recipe.passes * len(fitted)) // recipe.batch)
    generator = torch.Generator().manual_seed(recipe.seed)
    net = _empty(data, recipe.seed)
    optimizer = torch.optim.Adam(net.parameters(), recipe.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, steps, pct_start=0.1, cycle_momentum=False)
    order = torch.empty(0, dtype=torch.long)
    for step in range(steps):
        while len(order) < recipe.batch:
            order = torch.cat([order, fitted[torch.randperm(len(fitted), generator=generator)]])
        ids, order = order[: recipe.batch], order[recipe.batch :]
        x, cond = train.batch(ids, step)
        with torch.enable_grad():
            loss = functional.cross_entropy(net(x), cond["label"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, steps)
    return net.eval()


def _blocks(samples: Split) -> list[Tensor]:
    return list(torch.split(torch.arange(len(samples)), _BLOCK))


def _accuracy(net: LeNet, val: Split) -> dict[str, str]:
    right = 0
    with torch.inference_mode():
        for ids in _blocks(val):
            x, cond = val.batch(ids, 0)
            right += int((net(x).argmax(1) == cond["label"]).sum())
    return {"accuracy": repr(right / len(val)), "held_out": str(len(val))}


def _digest(train: Split, val: Split, recipe: Recipe) -> str:
    hashed = hashlib.sha256(json.dumps(asdict(recipe)).encode())
    for samples in (train, val):
        hashed.update(f"{len(samples)}\n".encode())
        for ids in _blocks(samples):
            x, cond = samples.batch(ids, 0)
            if "label" not in cond:
                raise ValueError("a classifier needs labeled images")
            hashed.update(x.float().contiguous().numpy().tobytes() + cond["label"].long().numpy().tobytes())
    return hashed.hexdigest()


def _write(path: Path, net: LeNet, facts: dict[str, str]) -> None:
    """Write the file atomically, because another process may do the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        # not save_file, whose files only the user could read
        part.write_bytes(save(net.state_dict(), facts))


def _read(path: Path, net: LeNet, digest: str, unseen: Tensor) -> Classifier:
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata()
            net.load_state_dict(
                {
                    name: file.get_tensor(name)
                    for name in file.keys()  # noqa: SIM118 - a file of tensors is not a mapping
                }
            )
        if facts["digest"] != digest:
            raise KeyError("digest")
        return Classifier(net.eval(), float(facts["accuracy"]), int(facts["held_out"]), digest, unseen)
    except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged; delete it to train the classifier again") from error
