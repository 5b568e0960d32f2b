"""Checks of samples and likelihoods of a run of a few steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptdiff.modality.data import unaugmented
from ptdiff.modality.ragged import padded
from ptdiff.testing.subject import BATCH, Subject, skip

if TYPE_CHECKING:
    from torch import Tensor

CALLS = 3
"""Solver steps; the samples of a run of a few steps are noise whatever the number."""


def samples_have_the_shape_of_the_data(subject: Subject) -> None:
    """Check that samples are finite and shaped like the data, with a class each."""
    import torch

    found = subject.sample(BATCH, steps=CALLS)
    assert len(found.sets) == BATCH
    most, *rest = subject.data.shape or (1,)
    for one in found.sets:
        assert tuple(one.shape) == subject.data.shape or (
            subject.data.sizes and len(one) <= most and list(one.shape[1:]) == rest
        )
        assert bool(torch.isfinite(one).all())
    assert found.classes == subject.data.classes


def a_sample_is_a_function_of_its_id_and_seed(subject: Subject) -> None:
    """Check that a sample is the same in a batch, alone and again, and another one for another seed."""
    import torch

    together = subject.sample(BATCH, steps=CALLS, raw=True).sets
    again = subject.sample(BATCH, steps=CALLS, raw=True).sets
    (alone,) = subject.sample(1, first=2, steps=CALLS, raw=True).sets
    other = subject.sample(BATCH, steps=CALLS, raw=True, seed=1).sets
    size = float(torch.cat([one.flatten() for one in together]).std()) or 1.0
    assert all(map(torch.equal, together, again)), "the same sample comes out differently when it is generated again"
    assert _close(together[2], alone, size), "a sample depends on other samples in its batch"
    same = all(_close(one, two, size) for one, two in zip(together, other, strict=True))
    assert not same, "another seed gives the same samples"


def every_way_of_sampling_works(subject: Subject) -> None:
    """Check that a deterministic and a stochastic solver work, and guidance if the data has conditions."""
    import torch

    ways: list[dict[str, Any]] = [{"solver": "ddim"}, {"solver": "ddpm"}]
    if subject.data.declared:
        ways.append({"guidance": 2.0})
    for way in ways:
        found = subject.sample(2, steps=CALLS, **way)
        assert all(bool(torch.isfinite(one).all()) for one in found.sets), f"samples with {way} are not finite"


def samples_have_any_number_of_elements(subject: Subject) -> None:
    """Check that ``--points``, and a condition that counts, work for unordered data: samples and their images."""
    if not subject.data.unordered:
        skip("the data is ordered")
    own = subject.data.shape[0]
    for count in (max(1, own // 2), own + 3):
        found = subject.sample(2, points=count, steps=CALLS)
        assert found.samples.shape == (2, count, *subject.data.shape[1:])
        subject.modality.visualizer().sheet(found.samples.numpy(), [])
    if (name := subject.data.counted) is not None:
        counts = [max(1, own // 2), own]
        sets = subject.model.sample(2, conditions={name: counts}, steps=CALLS).sets
        sizes = [len(one) for one in sets]
        assert sizes == counts, f"samples for the condition {name} = {counts} have {sizes} elements"


def postprocessing_keeps_what_is_data(subject: Subject) -> None:
    """Check that postprocess keeps shape and type, leaves training samples as they are, and may be applied twice."""
    import torch

    data = subject.data
    for x in subject.groups():
        kept = x.clone()
        once = subject.modality.postprocess(x, data)
        assert torch.equal(x, kept), "postprocess changes its input in place: return a copy"
        assert once.shape == x.shape and once.dtype == x.dtype, (
            f"postprocess maps {x.dtype} {tuple(x.shape)} to {once.dtype} {tuple(once.shape)}"
        )
        size = float(x.std()) or 1.0
        assert torch.allclose(once, x, atol=1e-3 * size), (
            "postprocess changes training samples: it must only remove what the data cannot contain"
        )
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
        made = subject.modality.postprocess(data.world(noise * 2), data)
        assert torch.allclose(subject.modality.postprocess(made, data), made, atol=1e-3 * size), (
            "postprocess applied twice changes samples again"
        )


def likelihoods_are_finite(subject: Subject) -> None:
    """Check that log-likelihoods of training samples are finite."""
    import torch

    from ptdiff.denoiser.latent_code import coded
    from ptdiff.likelihood.divergence import Hutchinson
    from ptdiff.likelihood.flow import FlowPath
    from ptdiff.likelihood.world import world_log_likelihood

    model = subject.model
    if coded(model.denoiser) is not None:
        skip("a model with a latent code has no likelihood")
    x, cond = subject.batch()
    found = world_log_likelihood(
        model.denoiser,
        model.data,
        x[:2],
        {key: value[:2] for key, value in cond.items()},
        bin_width=subject.modality.bin_width,
        path=FlowPath(model.plan.process, steps=2),
        divergence=Hutchinson(),
    )
    assert bool(torch.isfinite(found.nats).all()), "log-likelihoods are not finite"


def data_is_a_multiple_of_the_bin_width(subject: Subject) -> None:
    """Check that data with a bin width is quantized: values are whole numbers of bins from one of them."""
    import torch

    width = subject.modality.bin_width
    if width is None:
        skip("bin_width is None: the data is continuous")
    assert width > 0, f"bin_width must be positive, not {width}"
    # augmentation makes values between the bins, and likelihoods are those of samples without it
    rows, cond = unaugmented(subject.train).batch(torch.arange(BATCH), 0)
    x = (rows[cond["mask"]] if "mask" in cond else rows).double()
    bins = (x - x.min()) / width
    error = float((bins - bins.round()).abs().max())
    assert error < 0.01, f"values lie up to {error:.2f} bins from a multiple of bin_width = {width:g}"


def distances_find_the_nearest_sample(subject: Subject) -> None:
    """Check that ``nearest`` finds each of some samples among themselves, and reports its progress."""
    import torch

    x, cond = subject.batch()
    shown = padded(x, cond.get("mask"))
    reports: list[tuple[int, int]] = []
    distance, index = subject.modality.nearest(shown, shown, lambda done, total: reports.append((done, total)))
    assert distance.shape == index.shape == (BATCH,), (
        f"nearest must return two tensors of shape ({BATCH},), not {tuple(distance.shape)} and {tuple(index.shape)}"
    )
    assert torch.equal(x[index.long()], x), "nearest does not find a sample that is among the others"
    assert all(0 <= done <= total for done, total in reports), f"progress is called with {reports}"


def _close(one: Tensor, other: Tensor, size: float) -> bool:
    import torch

    return one.shape == other.shape and torch.allclose(one, other, atol=1e-3 * size)
