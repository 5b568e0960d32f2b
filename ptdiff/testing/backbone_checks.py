"""Checks of the network: shapes, finiteness, conditions, symmetries, gradients."""

from __future__ import annotations

import copy

from ptdiff.modality.conditions import absent, hide, is_given
from ptdiff.modality.ragged import masked
from ptdiff.testing.subject import BATCH, Subject


def the_backbone_keeps_shapes_and_stays_finite(subject: Subject) -> None:
    """Check that y is shaped like x and finite from clean data (angle 0) to pure noise (angle pi/2)."""
    import math

    import torch

    _, cond = subject.batch()
    x = torch.randn(BATCH, *subject.data.shape)
    with torch.no_grad():
        y = subject.net(x, torch.tensor([0.0, 0.3, 1.2, math.pi / 2]), cond)
    assert y.shape == x.shape, f"the backbone maps {tuple(x.shape)} to {tuple(y.shape)}"
    assert bool(torch.isfinite(y).all()), "the output of the backbone is not finite at angle 0 or pi/2"


def samples_do_not_see_each_other(subject: Subject) -> None:
    """Check that a sample's output is the same alone and in a batch (batch normalization breaks this)."""
    import torch

    _, cond = subject.batch()
    x, angle = torch.randn(BATCH, *subject.data.shape), torch.linspace(0.1, 1.5, BATCH)
    # training mode, in which batch normalization mixes samples, but without the randomness of dropout
    learning = copy.deepcopy(subject.net).train()
    for module in learning.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.eval()
    for net in (subject.net, learning):
        with torch.no_grad():
            together = net(x, angle, cond)
            alone = net(x[1:2], angle[1:2], {key: value[1:2] for key, value in cond.items()})
        assert torch.allclose(together[1:2], alone, atol=1e-4), (
            "a sample's output depends on other samples in its batch"
        )


def not_given_is_said_in_two_ways(subject: Subject) -> None:
    """Check that a missing condition and -1 give the same output, and a given label another one."""
    import torch

    if not subject.data.classes:
        return
    x, angle = torch.randn(2, *subject.data.shape), torch.tensor([0.5, 1.0])
    with torch.no_grad():
        missing = subject.net(x, angle, {})
        minus_one = subject.net(x, angle, {"label": torch.tensor([-1, -1])})
        given = subject.net(x, angle, {"label": torch.tensor([0, 0])})
    assert torch.allclose(missing, minus_one, atol=1e-6), "label -1 must give the same output as no label"
    assert not torch.allclose(missing, given), "the output of the backbone does not depend on the label"


def the_backbone_listens_to_every_condition(subject: Subject) -> None:
    """Check that a declared condition changes the output, and that leaving it out is the same as NaN or -1."""
    import torch

    x, angle = torch.randn(2, *subject.data.shape), torch.tensor([0.5, 1.0])
    _, cond = subject.batch()
    for name, kind in subject.data.conditions.items():
        told = cond[name][is_given(cond[name])][:1]
        if len(told) == 0:
            continue
        given = told.repeat(2, *[1] * (told.ndim - 1))
        with torch.no_grad():
            missing = subject.net(x, angle, {})
            nothing = subject.net(x, angle, {name: absent(kind, 2)})
            one = subject.net(x, angle, {name: given})
            half = subject.net(x, angle, {name: torch.cat([given[:1], absent(kind, 1)])})
        assert bool(nothing.isfinite().all()), f"NaN for {name!r}, which means not given, reaches the output"
        assert torch.allclose(missing, nothing, atol=1e-6), (
            f"{name!r} given as NaN or -1 must give the same output as no {name!r}"
        )
        assert not torch.allclose(missing, one), f"the output of the backbone does not depend on {name!r}"
        assert torch.allclose(half[:1], one[:1], atol=1e-5) and torch.allclose(half[1:], missing[1:], atol=1e-5), (
            f"the {name!r} of one sample changes the output of another"
        )


def no_estimate_is_said_in_two_ways(subject: Subject) -> None:
    """Check that a self-conditioning network treats a missing estimate like zeros, and reads a given one."""
    import torch

    if not getattr(subject.net, "self_conditioning", False):
        return
    x, angle = torch.randn(2, *subject.data.shape), torch.tensor([0.5, 1.0])
    with torch.no_grad():
        missing = subject.net(x, angle, {})
        zeros, given = (subject.net(x, angle, {"estimate": e}) for e in (torch.zeros_like(x), torch.randn_like(x)))
    assert torch.allclose(missing, zeros, atol=1e-5), "an estimate of zeros must give the same output as no estimate"
    assert not torch.allclose(missing, given), (
        "the backbone has self_conditioning = True, but its output does not depend on the estimate"
    )


def the_backbone_listens_to_the_noise_level(subject: Subject) -> None:
    """Check that another angle gives another output."""
    import torch

    x = torch.randn(2, *subject.data.shape)
    with torch.no_grad():
        low, high = (subject.net(x, torch.full((2,), angle), {}) for angle in (0.2, 1.4))
    assert not torch.allclose(low, high), "the output of the backbone does not depend on the noise level"


def sets_have_no_order(subject: Subject) -> None:
    """For unordered data, check that the network is permutation-equivariant and accepts any number of elements."""
    import torch

    if not subject.data.unordered:
        return
    x, angle = torch.randn(2, *subject.data.shape), torch.tensor([0.5, 1.0])
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        error = (subject.net(x[:, order], angle, {}) - subject.net(x, angle, {})[:, order]).abs().max()
        more = subject.net(torch.randn(1, 2 * x.shape[1] + 1, *x.shape[2:]), angle[:1], {})
    assert float(error) < 1e-3, f"the backbone is not permutation-equivariant (error {float(error):.2g})"
    assert more.shape[1] == 2 * x.shape[1] + 1, "the backbone does not accept another number of elements"


def padding_changes_nothing(subject: Subject) -> None:
    """For sets of different sizes, check that a set's output is the same with padding and without."""
    import torch

    if not subject.data.sizes:
        return
    most = subject.data.shape[0]
    x, angle = torch.randn(2, most, *subject.data.shape[1:]), torch.tensor([0.5, 1.0])
    few = max(1, most // 2)
    mask = torch.arange(most) < torch.tensor([[few], [most]])
    with torch.no_grad():
        together = subject.net(masked(x, mask), angle, {"mask": mask})
        alone, whole = subject.net(x[:1, :few], angle[:1], {}), subject.net(x[1:], angle[1:], {})
    assert bool(together.isfinite().all()), "the output of the backbone is not finite for sets with padding"
    assert torch.allclose(together[:1, :few], alone, atol=1e-4) and torch.allclose(together[1:], whole, atol=1e-4), (
        'padding changes the output of the elements of a set: leave it out by cond["mask"]'
    )


def every_parameter_learns(subject: Subject) -> None:
    """Check that every parameter has a finite gradient, and that a few steps reduce the loss."""
    import torch

    from ptdiff.denoiser.network import NetworkDenoiser
    from ptdiff.process import Flow

    torch.manual_seed(0)
    model = NetworkDenoiser(subject.modality.backbone(subject.data))
    x, cond = subject.batch()
    mask = cond.get("mask")
    z = masked(subject.data.normalize(x), mask)
    first = torch.arange(BATCH) < 1
    hidden = {
        key: hide(value, first)
        for key, value in cond.items()
        if key in subject.data.declared or (key != "mask" and not value.is_floating_point())
    }
    generator = torch.Generator().manual_seed(1)
    eps, level = masked(torch.randn(z.shape, generator=generator), mask), Flow().level(torch.linspace(0.2, 0.9, BATCH))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        loss = model.loss(z, eps, level, {**cond, **hidden}).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    dead = [name for name, p in model.named_parameters() if p.grad is None or not bool(torch.isfinite(p.grad).all())]
    assert not dead, f"no finite gradient reaches {', '.join(dead[:5])}"
    assert losses[-1] < losses[0], f"the loss does not fall on one batch ({losses[0]:.4f} to {losses[-1]:.4f})"
