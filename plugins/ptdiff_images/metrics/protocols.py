"""Protocols that compare two sets of images, by name.

Images are compared by features: of a classifier trained on the training images of the same data, or of the Inception
network. Every score ends with the name of the features.

The floor of the classifier's scores is measured on training images that it was not fitted on, because it was not fitted
on the samples and the reference either.

For videos, features are those of one frame each: frames of one video are alike, and intervals assume independent
images. They know nothing of time. Pixels do; if frames are out of order, the changes from frame to frame show it
several times as clearly as whole videos.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from ptdiff.evaluation import with_labels
from ptdiff.metrics import compare
from ptdiff.modality import Comparison, EvaluationProtocol, Measurement
from ptdiff.modality.data import Data, Split, unaugmented
from ptdiff_images.data.films import frame_each, frames_of
from ptdiff_images.metrics.classifier import classifier
from ptdiff_images.metrics.feature_distances import NEIGHBORS, compare_features, share_of
from ptdiff_images.metrics.inception import inception

_LENET = "Fréchet and kernel distance, precision and recall by features of a classifier of the same data"
_PIXELS = "sliced Wasserstein and energy distance of the pixels"
_INCEPTION = "as lenet, by features of the Inception network (an extra, with a download)"

PROTOCOLS = {
    "lenet": EvaluationProtocol(_LENET),
    "pixels": EvaluationProtocol(_PIXELS),
    "inception": EvaluationProtocol(_INCEPTION, require=inception),
}

FILM_PROTOCOLS = {
    "pixels": EvaluationProtocol(f"{_PIXELS}, of whole videos and of the changes from frame to frame"),
    "lenet": EvaluationProtocol(f"{_LENET}, of one frame of each video"),
    "inception": EvaluationProtocol(f"{_INCEPTION}, of one frame of each video", require=inception),
}


def measure(protocol: str, data: Data, comparison: Comparison) -> Measurement:
    """Score samples (n, *shape) against a reference, all in [0, 1], by one of the protocols.

    data: the labeled images that the classifier of protocol lenet is trained on; without labels there is no
        classifier, and pixels are compared instead.
    comparison: with labels, lenet also scores the fraction classified as requested.
    """
    samples, reference, training = comparison.samples, comparison.reference, comparison.training
    labels, seed, progress = comparison.labels, comparison.seed, comparison.progress
    film, note = reference.ndim == 5, {}
    if protocol == "lenet" and not data.classes:
        protocol, note = "pixels", {"features": "none, because the data has no labels: pixels are compared"}
    if protocol == "pixels":
        scores = compare(samples, reference, training, seed)
        if film:
            changes = compare(samples.diff(dim=2), reference.diff(dim=2), training.diff(dim=2), seed)
            scores |= {f"changes_{name}": score for name, score in changes.items()}
        return Measurement(scores, note)
    if film:
        samples, reference, training = (frame_each(x) for x in (samples, reference, training))
    if protocol == "inception":
        features = inception(comparison.device)
        x, y, z = (features(images, progress) for images in (samples, reference, training))
        return Measurement(compare_features(x, y, z, "inception", seed), {"neighbors": NEIGHBORS})
    data = frames_of(data)
    if reference.shape[1:] != data.shape:
        raise ValueError(f"the classifier takes images of shape {data.shape}, not {tuple(reference.shape[1:])}")
    judge = classifier(data, progress=progress)
    assert data.train is not None
    unseen = _unseen(unaugmented(data.train), judge.unseen, reference, labels, seed)
    # fill up with the others: distances depend on the number of images
    real = torch.cat([unseen, training[: max(0, len(training) - len(unseen))]])
    x, y, z = (judge.features(images) for images in (samples, reference, real))
    scores = compare_features(x, y, z, "lenet", seed)
    facts: dict[str, object] = {
        "floor": f"of {len(unseen):,} training images that the classifier was not fitted on"
        + (f", and of {len(real) - len(unseen):,} that it was" if len(real) > len(unseen) else ""),
        "classifier": f"{judge.digest[:12]}, right on {judge.accuracy:.2%} of {judge.held_out:,} held-out images",
        "neighbors": NEIGHBORS,
    }
    if labels is not None and bool((labels >= 0).any()):
        asked = labels >= 0
        right = judge.read(samples[asked]) == labels[asked]
        scores["read_as_asked"] = share_of(right, judge.accuracy)
        facts["read_as_asked_by_class"] = by_class(right, labels[asked], data.classes)
    return Measurement(scores, facts)


def _unseen(train: Split, ids: Tensor, reference: Tensor, labels: Tensor | None, seed: int) -> Tensor:
    """Return as many training images of ``ids`` as the reference has, not in it, with the requested labels."""
    known = {image.tobytes() for image in reference.float().numpy()}
    order = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))]
    others = [
        part[[image.tobytes() not in known for image in train.batch(part, 0)[0].numpy()]]
        for part in torch.split(order, 1024)
    ]
    left, wanted = torch.cat(others), None if labels is None else Counter(labels.tolist())
    return with_labels(train, left, len(reference), wanted, 0) if len(left) else reference[:0]


def by_class(right: Tensor, labels: Tensor, classes: tuple[str, ...]) -> dict[str, float]:
    """Fraction of true answers (n,) for each class that occurs."""
    return {classes[i]: float(right[labels == i].double().mean()) for i in torch.unique(labels).tolist()}
