"""Apple's GPU, pretended: what would fail there fails here, by name, on a machine that has none.

    with pretended_mps():
        network.to("mps:0")(x.to("mps:0"))

Tensors of the pretended device hold ordinary ones and compute on the CPU.  Refused is what the real device refuses:

    float64, and complex numbers of it      https://github.com/pytorch/pytorch/issues/122602
    operators without a kernel              https://github.com/pytorch/pytorch/issues/141287
    tensors of the CPU among its own        but numbers, and indices

Which operators have a kernel stands in torch's own list, native_functions.yaml, which every wheel brings along, so that
the answer is that of the version that is installed.  Not pretended: float16 and bfloat16 by autocast, speed, memory,
the last digits, and the errors of kernels that are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

WHERE = torch.device("mps", 0)

PRETENDED = (WHERE.type, "meta")
"""What the device is called: in Python, and by torch's C++, which must take it for one that it knows."""

WITHOUT = (torch.float64, torch.complex128)
"""Types that the device does not have."""

BY_HAND = ("embedding_renorm_", "linalg_svd", "col2im", "upsample_nearest3d")
"""Operators that aten/src/ATen/mps/MPSFallback.mm takes to the CPU and back."""

OTHERWISE = ("_scaled_dot_product_flash_attention_for_cpu", "detach", "alias")
"""Operators of the CPU in the place of others: that of attention is _scaled_dot_product_attention_math_for_mps."""

MIXED = ("_to_copy", "copy_", "index", "index_put", "index_put_", "_index_put_impl_", "_local_scalar_dense")
"""Operators that take tensors of two devices."""


class Refused(RuntimeError):
    """What the real device would have refused."""


@contextmanager
def pretended_mps() -> Iterator[torch.device]:
    """Within it ``mps:0`` is a device that one can compute on; yields it."""
    lifted, overwritten = (
        torch._C._only_lift_cpu_tensors(),
        torch.__future__.get_overwrite_module_params_on_conversion(),
    )
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch.backends.mps, "is_available", return_value=True))
        for name in ("manual_seed", "set_rng_state", "synchronize", "empty_cache"):
            stack.enter_context(mock.patch.object(torch.mps, name))
        stack.enter_context(mock.patch.object(torch.mps, "get_rng_state", return_value=torch.zeros(1)))
        # numbers of a list become a tensor of the CPU first, where this can see them
        torch._C._set_only_lift_cpu_tensors(True)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            stack.enter_context(_Pretending())  # type: ignore[no-untyped-call]
            yield WHERE
        finally:
            torch._C._set_only_lift_cpu_tensors(lifted)
            torch.__future__.set_overwrite_module_params_on_conversion(overwritten)


class _OnDevice(Tensor):
    """A tensor of the pretended device, which holds one of the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> _OnDevice:
        made: _OnDevice = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            # on the CPU it could not be moved there
            device=torch.device(PRETENDED[1]),
        )
        made.held = held
        return made

    device = property(lambda self: WHERE)
    is_mps = property(lambda self: True)
    is_meta = property(lambda self: False)

    def tolist(self) -> Any:
        return self.held.tolist()

    def new_tensor(self, data: Any, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:  # type: ignore[override]
        return torch.tensor(data, dtype=dtype or self.dtype, device=WHERE)

    def numpy(self, **_: Any) -> Any:
        raise Refused("numpy: a tensor of mps goes to the CPU first")

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"on mps: {self.held!r}"

    @classmethod
    def __torch_dispatch__(cls, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _run(function, args, kwargs or {})


class _Pretending(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what makes tensors too."""

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        with self:
            # without gradients torch hands over operators that are made of others
            made = function.decompose(*args, **(kwargs or {}))
        return made if made is not NotImplemented else _run(function, args, kwargs or {})


def _run(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    given = [leaf for leaf in tree_leaves((args, dict(kwargs))) if isinstance(leaf, Tensor)]
    ours = [tensor for tensor in given if isinstance(tensor, _OnDevice)]
    asked = kwargs.get("device")
    on_device = bool(ours) if asked is None else asked.type in PRETENDED
    name = function._schema.name.removeprefix("aten::")
    if on_device:
        _check(function, name, [tensor for tensor in given if not isinstance(tensor, _OnDevice)], bool(ours))
    held = {id(tensor.held): tensor for tensor in ours}
    out = function(*tree_map(_inside, list(args)), **tree_map(_inside, dict(kwargs)))
    if name == "copy_":
        on_device = isinstance(args[0], _OnDevice)

    def outside(value: Any) -> Any:
        if not (on_device and isinstance(value, Tensor)):
            return value
        if value.dtype in WITHOUT:
            raise Refused(f"{name}: mps has no {value.dtype}")
        # what is changed in place stays the tensor that it was
        if id(value) in held:
            return held[id(value)]
        # in inference mode torch would refuse views of the tensors that were made before
        with torch.inference_mode(False):
            return _OnDevice(value)

    return tree_map(outside, out)


def _inside(value: Any) -> Any:
    if isinstance(value, _OnDevice):
        return value.held
    return torch.device("cpu") if isinstance(value, torch.device) and value.type in PRETENDED else value


def _check(function: Any, name: str, strangers: Sequence[Tensor], computes: bool) -> None:
    if computes and name not in MIXED and any(tensor.ndim for tensor in strangers):
        raise Refused(f"{name}: tensors of mps and of the CPU in one operation")
    if not has_kernel(str(function).removeprefix("aten.").removesuffix(".default")):
        raise Refused(f"{name}: mps has no kernel for it in torch {torch.__version__}")


def has_kernel(name: str) -> bool:
    """Whether the installed version of torch has an operator, such as "add.Tensor", for mps."""
    if name.partition(".")[0] in (*BY_HAND, *OTHERWISE):
        return True
    known = _operators()
    entry = known.get(name)
    if entry is None:
        # generated from another form of the same operator, or of no device at all
        return True
    delegate = re.search(r"structured_delegate: (\S+)", entry)
    body = known.get(delegate[1], "") if delegate else entry
    kernels = re.search(r"^  dispatch:\n((?:    .*\n)*)", body, re.M)
    if kernels is None:
        # made of other operators
        return True
    return re.search(r"\b(MPS|Composite\w+)\b", re.sub(r"#.*", "", kernels[1])) is not None


@cache
def _operators() -> dict[str, str]:
    """Name with overload to its entry."""
    found = find_spec("torchgen")
    if found is None or not found.submodule_search_locations:
        raise ImportError("this build of torch does not bring its list of operators (torchgen) along")
    path = Path(found.submodule_search_locations[0]) / "packaged" / "ATen" / "native" / "native_functions.yaml"
    entries = re.split(r"^- func: ", path.read_text(encoding="utf-8"), flags=re.M)[1:]
    return {entry.partition("(")[0]: entry + "\n" for entry in entries}
