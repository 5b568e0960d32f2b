"""Checks of training: gradients, the loss, a short run, and its exact continuation."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ptdiff.modality.conditions import hide
from ptdiff.modality.ragged import masked
from ptdiff.testing.subject import BATCH, STEPS, Subject, checked

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ptdiff.training.module import DiffusionModule


def every_parameter_gets_a_gradient(subject: Subject) -> None:
    """Check that every parameter has a finite gradient that is not always zero."""
    import torch

    net = copy.deepcopy(subject.net).train()
    total: dict[str, float] = {}
    for seed in (0, 1):
        net.zero_grad(set_to_none=True)
        torch.autograd.backward(_losses(subject, net, seed).mean())
        for name, parameter in net.named_parameters():
            if parameter.requires_grad:
                size = 0.0 if parameter.grad is None else float(parameter.grad.abs().max())
                total[name] = total.get(name, 0.0) + size
    infinite = [name for name, size in total.items() if not size < float("inf")]
    assert not infinite, f"the gradient of {', '.join(infinite[:5])} is not finite"
    dead = [name for name, size in total.items() if size == 0]
    assert not dead, (
        f"no gradient reaches {', '.join(dead[:5])}: use every parameter in forward, without detach(), or remove it"
    )


def gradients_reach_the_input(subject: Subject) -> None:
    """Check that y can be differentiated by x, as likelihoods and guided reconstruction need."""
    import torch

    cond = subject.batch()[1]
    x = subject.noise(mask=cond.get("mask")).requires_grad_()
    y = subject.net(x, subject.angles(), cond)
    assert y.requires_grad, "the output of the backbone has no gradient: no torch.no_grad() in forward"
    (slope,) = torch.autograd.grad(y.square().sum(), x, allow_unused=True)
    assert slope is not None and bool(slope.isfinite().all()) and bool(slope.any()), (
        "no finite gradient reaches x: no x.detach() in forward"
    )


def the_backbone_trains_after_sampling(subject: Subject) -> None:
    """Check that a call in inference mode, as for previews, does not break the next training step."""
    import torch

    net = copy.deepcopy(checked(subject.net_or_error))
    x, angle = subject.noise(), subject.angles()
    with torch.inference_mode():
        net.eval()(x, angle, {})
    try:
        torch.autograd.backward(net.train()(x.clone(), angle.clone(), {}).square().mean())
    except RuntimeError as error:
        raise AssertionError(
            f"a training step after sampling fails: {error}; keep no tensor that was made in inference mode"
        ) from error


def the_loss_falls_on_one_batch(subject: Subject) -> None:
    """Check that a few steps on a single batch reduce its loss."""
    import torch

    net = subject.fresh()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        loss = _losses(subject, net).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], f"the loss does not fall on one batch ({losses[0]:.4f} to {losses[-1]:.4f})"


def a_run_is_trained(subject: Subject) -> None:
    """Check that a run of a few steps is trained, saved and opened again."""
    model = checked(subject.model_or_error)
    assert model.run.checkpoint().step == STEPS
    assert model.run.config.modality
    assert type(model.modality) is type(subject.modality)


def a_resumed_run_is_the_same_bit_for_bit(subject: Subject) -> None:
    """Check that steps after a checkpoint give the weights of a run that never stopped, in every bit."""
    import torch

    from ptdiff.run.checkpoint import latest
    from ptdiff.training.state import load_state, save_state

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole, steps = _module(subject)
        _take(whole, steps, range(STEPS))
        parted, steps = _module(subject)
        _take(parted, steps, range(STEPS // 2))
        with tempfile.TemporaryDirectory() as folder:
            save_state(parted, steps, Path(folder))
            resumed, steps = _module(subject)
            found = latest(Path(folder))
            assert found is not None
            load_state(resumed, steps, found)
        _take(resumed, steps, range(STEPS // 2, STEPS))
    finally:
        torch.set_num_threads(before)
    one, other = whole.denoiser.state_dict(), resumed.denoiser.state_dict()
    different = [name.removeprefix("net.") for name, value in one.items() if not torch.equal(value, other[name])]
    assert not different, (
        f"after resuming, {', '.join(different[:5])} differ from those of a run that never stopped: keep all state of "
        "the network in buffers, and draw random numbers with torch alone"
    )


def _losses(subject: Subject, net: nn.Module, seed: int = 0) -> Tensor:
    """The losses (b,) of a fixed batch with fixed noise, the first sample without its conditions."""
    import torch

    from ptdiff.denoiser.network import NetworkDenoiser
    from ptdiff.process import Flow

    x, cond = subject.batch(first=seed * BATCH)
    mask, first = cond.get("mask"), torch.arange(BATCH) < 1
    z = masked(subject.data.normalize(x), mask)
    hidden = {
        key: hide(value, first)
        for key, value in cond.items()
        if key in subject.data.declared or (key != "mask" and not value.is_floating_point())
    }
    told = {**cond, **hidden}
    if getattr(net, "self_conditioning", False):
        told["estimate"] = subject.noise(seed=seed + 20)
    level = Flow().level(torch.linspace(0.2, 0.9, BATCH))
    return NetworkDenoiser(net).loss(z, subject.noise(seed=seed + 10, mask=mask), level, told)


def _module(subject: Subject) -> tuple[DiffusionModule, torch.optim.Optimizer]:
    """A training module of the run with its optimizer, before the first step."""
    from ptdiff.denoiser.network import NetworkDenoiser
    from ptdiff.training.configuration import resolve
    from ptdiff.training.module import DiffusionModule

    config, _ = resolve(subject.values(), kind=subject.modality)
    module = DiffusionModule(NetworkDenoiser(subject.fresh(), config.prediction), subject.data, config)
    module.begin()
    optimizer = module.configure_optimizers()
    return module, optimizer


def _take(module: DiffusionModule, optimizer: torch.optim.Optimizer, steps: range) -> None:
    import torch

    with torch.random.fork_rng(devices=[]):
        for step, random in zip(steps, module.randomness(steps), strict=True):
            module.take_step(step, random, optimizer)
            module.done = step + 1
