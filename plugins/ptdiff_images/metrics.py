"""Ways to compare two sets of images, by name.

Images are compared by features: of the classifier that is trained on the training images of the same data, or of the
Inception network.  The name of the features ends that of every figure.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptdiff.data import Data
from ptdiff.metrics import compare
from ptdiff.modality import Measurement, Progress
from ptdiff_images.classifier import classifier
from ptdiff_images.feature_distances import NEIGHBORS, compare_features, share_of
from ptdiff_images.inception import inception

PROTOCOLS = {
    "lenet": "Fréchet and kernel distance, precision and recall by the features of a classifier of the same data",
    "pixels": "sliced Wasserstein and energy distance of the pixels",
    "inception": "the same as lenet by the features of the Inception network (an extra, with a download)",
}


def measure(
    protocol: str,
    data: Data,
    samples: Tensor,
    reference: Tensor,
    training: Tensor,
    seed: int = 0,
    progress: Progress | None = None,
    labels: Tensor | None = None,
) -> Measurement:
    """Scores of ``samples`` (n, *shape) against ``reference``, all in [0, 1]; for the floor ``training`` stands in.

    data: the images, with labels, that the classifier of protocol lenet is trained on; without labels there is none,
    and pixels are compared instead.  labels: (n,), the class that each sample was asked to be of, -1 for none; with
    them, lenet tells how many are read as asked.
    """
    if protocol == "inception":
        features = inception()
        x, y, z = (features(images, progress) for images in (samples, reference, training))
        return Measurement(compare_features(x, y, z, "inception", seed), {"neighbors": NEIGHBORS})
    if protocol == "pixels" or not data.classes:
        note = {} if protocol == "pixels" else {"features": "none, for the data has no labels: pixels are compared"}
        return Measurement(compare(samples, reference, training, seed), note)
    if reference.shape[1:] != data.shape:
        raise ValueError(f"the classifier reads images of shape {data.shape}, not {tuple(reference.shape[1:])}")
    judge = classifier(data, progress=progress)
    x, y, z = (judge.features(images) for images in (samples, reference, training))
    scores = compare_features(x, y, z, "lenet", seed)
    facts: dict[str, object] = {
        "classifier": f"{judge.digest[:12]}, right on {judge.accuracy:.2%} of {judge.held_out:,} held-out images",
        "neighbors": NEIGHBORS,
    }
    if labels is not None and bool((labels >= 0).any()):
        asked = labels >= 0
        right = judge.read(samples[asked]) == labels[asked]
        scores["read_as_asked"] = share_of(right, judge.accuracy)
        facts["read_as_asked_by_class"] = by_class(right, labels[asked], data.classes)
    return Measurement(scores, facts)


def by_class(right: Tensor, labels: Tensor, classes: tuple[str, ...]) -> dict[str, float]:
    """The share of answers (n,) that are true, of each class that there is one of."""
    return {classes[i]: float(right[labels == i].double().mean()) for i in torch.unique(labels).tolist()}
