"""Checks of the network: shapes, types, symmetries, states, copies."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ptdiff.modality.ragged import masked
from ptdiff.testing.subject import BATCH, Subject, checked, same_random_state, skip

if TYPE_CHECKING:
    from torch import Tensor, nn


def the_backbone_is_built(subject: Subject) -> None:
    """Check that backbone(data) returns a torch.nn.Module with parameters."""
    from torch import nn

    net = checked(subject.net_or_error)
    assert isinstance(net, nn.Module), f"backbone(data) must return a torch.nn.Module, not {type(net).__name__}"
    assert any(p.requires_grad for p in net.parameters()), "the backbone has no parameters to train"
    lost = [name for name, part in net.named_parameters() if part.dtype.is_floating_point and part.dtype.itemsize != 4]
    assert not lost, f"parameters must be float32, but {', '.join(lost[:5])} are not: precision is a setting of the run"


def backbones_need_no_samples(subject: Subject) -> None:
    """Check that backbone(data) works with the facts of a run alone, on a machine that lacks the files."""
    from ptdiff.modality.data import Data

    bare = Data.from_facts(subject.data.facts())
    try:
        with same_random_state():
            net = subject.modality.backbone(bare)
    except Exception as error:
        raise AssertionError(
            f"backbone(data) without samples raises {type(error).__name__}: {error}; read only shape, classes and "
            "summary, because a run must load without its data"
        ) from error
    expected, found = (dict(each.state_dict()) for each in (subject.fresh(), net))
    assert {k: v.shape for k, v in expected.items()} == {k: v.shape for k, v in found.items()}, (
        "backbone(data) without samples gives a network with other parameters"
    )


def the_backbone_keeps_shapes(subject: Subject) -> None:
    """Check that y has the shape of x, for one sample and for several, and is float32."""
    import torch

    _, cond = subject.batch()
    for rows in (1, BATCH):
        some = _rows(cond, slice(rows))
        x = subject.noise(rows, mask=some.get("mask"))
        y = _output(subject.net, x, subject.angles(rows), some)
        assert y.shape == x.shape, f"the backbone maps {tuple(x.shape)} to {tuple(y.shape)}"
        assert y.dtype == torch.float32, f"the backbone returns {y.dtype} for float32"


def the_backbone_is_finite_at_every_noise_level(subject: Subject) -> None:
    """Check that y is finite from clean data (angle 0) to pure noise (angle pi/2)."""
    import math

    import torch

    _, cond = subject.batch()
    ends = torch.tensor([0.0, 1e-4, 1.2, math.pi / 2])
    y = _output(subject.net, subject.noise(mask=cond.get("mask")), ends, cond)
    bad = [f"{angle:.2g}" for angle, row in zip(ends.tolist(), y, strict=True) if not bool(row.isfinite().all())]
    assert not bad, f"the output of the backbone is not finite at angle {', '.join(bad)}"


def the_backbone_depends_on_the_noise_level(subject: Subject) -> None:
    """Check that another angle gives another output."""
    import torch

    x = subject.noise(2)
    low, high = (_output(subject.net, x, torch.full((2,), angle), {}) for angle in (0.2, 1.4))
    assert not torch.allclose(low, high), (
        "the output of the backbone does not depend on the noise level: use angle, for example by LevelEmbedding"
    )


def the_backbone_depends_on_its_input(subject: Subject) -> None:
    """Check that another x gives another output."""
    import torch

    angle = subject.angles(1)
    one, other = (_output(subject.net, subject.noise(1, seed=seed), angle, {}) for seed in (0, 1))
    assert not torch.allclose(one, other), "the output of the backbone does not depend on x"


def samples_do_not_affect_each_other(subject: Subject) -> None:
    """Check that a sample's output is the same alone and in a batch (batch normalization breaks this)."""
    import torch

    _, cond = subject.batch()
    x, angle = subject.noise(mask=cond.get("mask")), subject.angles()
    # training mode, in which batch normalization mixes samples, but without the randomness of dropout
    for net in (subject.net, _learning(subject.net)):
        together = _output(net, x, angle, cond)
        alone = _output(net, x[1:2], angle[1:2], _rows(cond, slice(1, 2)))
        error = float((together[1:2] - alone).abs().max())
        assert error < 1e-3 * max(1.0, float(together.abs().max())), (
            f"a sample's output depends on other samples in its batch (by {error:.2g}): use group, layer or RMS "
            "norm in place of batch normalization, and no mean over the batch"
        )
    assert torch.isfinite(together).all()


def the_backbone_has_no_memory(subject: Subject) -> None:
    """Check that the output is the same after other calls, which change no weight and no buffer."""
    import torch

    x, angle = subject.noise(), subject.angles()
    net = copy.deepcopy(subject.net)
    first = _output(net, x, angle, {})
    before = {name: value.clone() for name, value in net.state_dict().items()}
    _output(net, subject.noise(seed=1), angle.flip(0), {})
    _output(net.train(), subject.noise(seed=2), angle, {})
    assert torch.equal(first, _output(net.eval(), x, angle, {})), (
        "the output of the backbone changes after other calls: keep nothing from one call to the next, and switch "
        "randomness such as dropout off in eval()"
    )
    changed = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert not changed, f"a call changes {', '.join(changed[:5])}: weights are changed by training alone"


def the_backbone_stores_nothing_of_a_call(subject: Subject) -> None:
    """Check that a call leaves no tensor of its own on the module: in training, several threads share the network."""
    x, angle = subject.noise(), subject.angles()
    net = copy.deepcopy(subject.net)
    _output(net, x, angle, {})
    before = _attributes(net)
    _output(net, subject.noise(seed=1), angle.flip(0), {})
    stored = [name for name, value in _attributes(net).items() if _differs(before.get(name), value)]
    assert not stored, (
        f"forward stores {', '.join(stored[:5])} on the module: pass values to submodules as arguments, because "
        "several threads share the network"
    )


def the_backbone_leaves_its_inputs_alone(subject: Subject) -> None:
    """Check that forward changes neither x nor angle nor the conditions in place."""
    import torch

    cond = dict(subject.batch()[1])
    given = {"x": subject.noise(mask=cond.get("mask")), "angle": subject.angles(), **cond}
    kept = {name: value.clone() for name, value in given.items()}
    names = set(cond)
    _output(subject.net, given["x"], given["angle"], cond)
    changed = [name for name, value in given.items() if not torch.equal(value, kept[name])]
    assert not changed, f"forward changes {', '.join(changed)} in place: x = x + ... instead of x += ..."
    assert set(cond) == names, "forward adds or removes conditions: copy the mapping first, {**cond}"


def the_backbone_runs_in_bfloat16(subject: Subject) -> None:
    """Check that the network runs under autocast to bfloat16, with an output close to that of float32."""
    import torch

    angle, cond = subject.angles(), subject.batch()[1]
    x = subject.noise(mask=cond.get("mask"))
    exact = _output(subject.net, x, angle, cond)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = _output(subject.net, x, angle, cond).float()
    except RuntimeError as error:
        raise AssertionError(
            f"the backbone fails in bfloat16: {error}; create tensors in the type of their inputs, x.new_zeros(...)"
        ) from error
    difference = float((half - exact).square().mean().sqrt() / exact.square().mean().sqrt().clamp(min=1e-6))
    assert difference < 0.2, f"the output in bfloat16 differs by {difference:.0%} from that in float32"


def the_backbone_moves_to_another_device(subject: Subject) -> None:
    """Check that the network works on another device than the CPU: Apple's GPU, emulated."""
    from ptdiff.testing.mps import Refused, pretended_mps

    cond = subject.batch()[1]
    net = copy.deepcopy(subject.net)
    try:
        with pretended_mps() as device:
            there = {key: value.to(device) for key, value in cond.items()}
            x = subject.noise(mask=cond.get("mask")).to(device)
            y = _output(net.to(device), x, subject.angles().to(device), there)
            assert y.shape == (BATCH, *subject.data.shape)
    except Refused as error:
        if "one operation" not in str(error):
            skip(f"not on Apple's GPU: {error}")
        raise AssertionError(
            f"{error}: create tensors on the device of the input, device=x.device, and register constants as buffers"
        ) from error
    except ImportError as error:
        skip(str(error))


def networks_are_the_same_for_a_seed(subject: Subject) -> None:
    """Check that initial weights are a function of torch's seed."""
    import torch

    one = subject.fresh(3).state_dict()
    other = subject.fresh(3).state_dict()
    different = [name for name, value in one.items() if not torch.equal(value, other[name])]
    assert not different, (
        f"{', '.join(different[:5])} are initialized differently for the same torch.manual_seed: use torch's random "
        "numbers"
    )


def weights_alone_make_the_network(subject: Subject) -> None:
    """Check that a new network with the stored weights gives the same output: nothing else is in a checkpoint."""
    import torch

    angle, cond = subject.angles(), subject.batch()[1]
    x = subject.noise(mask=cond.get("mask"))
    again = subject.fresh(seed=7)
    again.load_state_dict(subject.net.state_dict(), strict=True)
    same = torch.allclose(_output(again.eval(), x, angle, cond), _output(subject.net, x, angle, cond), atol=1e-5)
    assert same, "a network with the same weights gives another output: register what it draws with register_buffer"


def the_network_can_be_copied(subject: Subject) -> None:
    """Check that copy.deepcopy makes an independent network, as averages of the weights need."""
    import torch

    x, angle = subject.noise(), subject.angles()
    expected = _output(subject.net, x, angle, {})
    twin = copy.deepcopy(subject.net)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    assert torch.equal(_output(subject.net, x, angle, {}), expected), (
        "a copy shares weights with the network: keep submodules as attributes, not in closures or lists"
    )
    assert not torch.equal(_output(twin, x, angle, {}), expected), "the copy does not use its own weights"


def sets_have_no_order(subject: Subject) -> None:
    """Check that the network of unordered data is permutation-equivariant."""
    import torch

    if not subject.data.unordered:
        skip("the data is ordered")
    x, angle = subject.noise(2), subject.angles(2)
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(0))
    y = _output(subject.net, x, angle, {})
    error = float((_output(subject.net, x[:, order], angle, {}) - y[:, order]).abs().max())
    assert error < 1e-3 * max(1.0, float(y.abs().max())), (
        f"the backbone is not permutation-equivariant (error {error:.2g}): no positions, no convolution along the set"
    )


def sets_have_any_number_of_elements(subject: Subject) -> None:
    """Check that the network of unordered data accepts fewer and more elements than the data has."""
    if not subject.data.unordered:
        skip("the data is ordered")
    own = subject.data.shape[0]
    for count in (max(1, own // 2), 2 * own + 1):
        x = subject.noise(2, elements=count)
        try:
            y = _output(subject.net, x, subject.angles(2), {})
        except Exception as error:
            raise AssertionError(
                f"the backbone does not accept {count} elements in place of {own}: {type(error).__name__}: {error}"
            ) from error
        assert y.shape == x.shape, f"the backbone maps {tuple(x.shape)} to {tuple(y.shape)}"


def padding_changes_nothing(subject: Subject) -> None:
    """Check that the output for each of several sets of different sizes is the same with padding and without."""
    import torch

    if not subject.data.sizes:
        skip("all sets have the same size")
    most = subject.data.shape[0]
    few = max(1, most // 2)
    mask = torch.arange(most) < torch.tensor([[few], [most]])
    x, angle = subject.noise(2, mask=mask), subject.angles(2)
    together = _output(subject.net, x, angle, {"mask": mask})
    alone, whole = (_output(subject.net, x[i : i + 1, :n], angle[i : i + 1], {}) for i, n in enumerate((few, most)))
    assert bool(together.isfinite().all()), "the output of the backbone is not finite for sets with padding"
    tolerance = 1e-4 * max(1.0, float(masked(together, mask).abs().max()))
    same = torch.allclose(together[:1, :few], alone, atol=tolerance)
    assert same and torch.allclose(together[1:], whole, atol=tolerance), (
        'padding changes the output for the elements of a set: leave it out by cond["mask"]'
    )


def _output(net: nn.Module, x: Tensor, angle: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
    import torch

    with torch.no_grad(), same_random_state():
        torch.manual_seed(0)
        y: Tensor = net(x, angle, cond)
    assert isinstance(y, torch.Tensor), f"forward must return a tensor, not {type(y).__name__}"
    return y


def _rows(cond: Mapping[str, Tensor], some: slice) -> dict[str, Tensor]:
    return {key: value[some] for key, value in cond.items()}


def _learning(net: nn.Module) -> nn.Module:
    """A copy in training mode, but with dropout switched off."""
    import torch

    learning = copy.deepcopy(net).train()
    for module in learning.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.eval()
    return learning


def _attributes(net: nn.Module) -> dict[str, object]:
    """Everything that modules hold apart from parameters, buffers and submodules, tensors as copies."""
    import torch

    return {
        f"{path}.{name}".lstrip("."): value.clone() if isinstance(value, torch.Tensor) else value
        for path, module in net.named_modules()
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training"
    }


def _differs(before: object, after: object) -> bool:
    import torch

    if isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor):
        return before.shape != after.shape or not torch.equal(before, after)
    # a cache filled by the first call holds the same object afterwards
    return before is not after and isinstance(after, torch.Tensor | dict | list | tuple) and _holds_tensor(after)


def _holds_tensor(value: object) -> bool:
    import torch

    if isinstance(value, dict):
        return any(map(_holds_tensor, value.values()))
    return any(map(_holds_tensor, value)) if isinstance(value, list | tuple) else isinstance(value, torch.Tensor)
