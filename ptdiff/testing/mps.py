"""Apple's GPU, emulated: code that would fail there fails here, with the same cause, on a machine without one.

    with pretended_mps():
        network.to("mps:0")(x.to("mps:0"))

Tensors of the pretended device wrap ordinary ones and compute on the CPU.  Refused is what the real device refuses:

    float64, and complex numbers of it      https://github.com/pytorch/pytorch/issues/122602
    operators without a kernel              https://github.com/pytorch/pytorch/issues/141287
    CPU tensors mixed with its own          except for scalars and indices

The list of operators with a kernel is torch's own, native_functions.yaml, which every wheel contains, so that the
answer is that of the installed version.  Not emulated: float16 and bfloat16 by autocast, speed, memory, rounding, and
bugs of the kernels that exist.
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
"""Names of the device: in Python, and in torch's C++, which must take it for a device that it knows."""

WITHOUT = (torch.float64, torch.complex128)
"""Dtypes that the device does not support."""

BY_HAND = ("embedding_renorm_", "linalg_svd", "col2im", "upsample_nearest3d")
"""Operators that aten/src/ATen/mps/MPSFallback.mm runs on the CPU."""

OTHERWISE = ("_scaled_dot_product_flash_attention_for_cpu", "detach", "alias")
"""CPU operators for which mps has another one, such as _scaled_dot_product_attention_math_for_mps."""

MIXED = ("_to_copy", "copy_", "index", "index_put", "index_put_", "_index_put_impl_", "_local_scalar_dense")
"""Operators that accept tensors on two devices."""


class Refused(RuntimeError):
    """An operation that the real device refuses."""


@contextmanager
def pretended_mps() -> Iterator[torch.device]:
    """Pretend within the context that ``mps:0`` is a device that can compute; yields it."""
    lifted, overwritten = (
        torch._C._only_lift_cpu_tensors(),
        torch.__future__.get_overwrite_module_params_on_conversion(),
    )
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch.backends.mps, "is_available", return_value=True))
        for name in ("manual_seed", "set_rng_state", "synchronize", "empty_cache"):
            stack.enter_context(mock.patch.object(torch.mps, name))
        stack.enter_context(mock.patch.object(torch.mps, "get_rng_state", return_value=torch.zeros(1)))
        # numbers in a list first become a CPU tensor, which the dispatch can see
        torch._C._set_only_lift_cpu_tensors(True)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            stack.enter_context(_Pretending())  # type: ignore[no-untyped-call]
            yield WHERE
        finally:
            torch._C._set_only_lift_cpu_tensors(lifted)
            torch.__future__.set_overwrite_module_params_on_conversion(overwritten)


class _OnDevice(Tensor):
    """A tensor on the pretended device, which wraps one on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> _OnDevice:
        made: _OnDevice = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            # a tensor that claims to be on the CPU could not be moved to the device
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
        raise Refused("numpy: move the mps tensor to the CPU first")

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"on mps: {self.held!r}"

    @classmethod
    def __torch_dispatch__(cls, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _run(function, args, kwargs or {})


class _Pretending(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dispatch mode that also sees operators that create tensors."""

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        with self:
            # without gradients torch passes composite operators
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
            raise Refused(f"{name}: mps does not support {value.dtype}")
        # a tensor changed in place keeps its identity
        if id(value) in held:
            return held[id(value)]
        # in inference mode torch refuses views of tensors made before
        with torch.inference_mode(False):
            return _OnDevice(value)

    return tree_map(outside, out)


def _inside(value: Any) -> Any:
    if isinstance(value, _OnDevice):
        return value.held
    return torch.device("cpu") if isinstance(value, torch.device) and value.type in PRETENDED else value


def _check(function: Any, name: str, strangers: Sequence[Tensor], computes: bool) -> None:
    if computes and name not in MIXED and any(tensor.ndim for tensor in strangers):
        raise Refused(f"{name}: mps and CPU tensors in one operation")
    if not has_kernel(str(function).removeprefix("aten.").removesuffix(".default")):
        raise Refused(f"{name}: mps has no kernel for it in torch {torch.__version__}")


def has_kernel(name: str) -> bool:
    """Return True if the installed version of torch has an mps kernel for an operator, such as "add.Tensor"."""
    if name.partition(".")[0] in (*BY_HAND, *OTHERWISE):
        return True
    known = _operators()
    entry = known.get(name)
    if entry is None:
        # generated from another overload of the same operator, or independent of devices
        return True
    delegate = re.search(r"structured_delegate: (\S+)", entry)
    body = known.get(delegate[1], "") if delegate else entry
    kernels = re.search(r"^  dispatch:\n((?:    .*\n)*)", body, re.M)
    if kernels is None:
        # composed of other operators
        return True
    return re.search(r"\b(MPS|Composite\w+)\b", re.sub(r"#.*", "", kernels[1])) is not None


@cache
def _operators() -> dict[str, str]:
    """Map from operator name with overload to its entry."""
    found = find_spec("torchgen")
    if found is None or not found.submodule_search_locations:
        raise ImportError("this build of torch does not include its list of operators (torchgen)")
    path = Path(found.submodule_search_locations[0]) / "packaged" / "ATen" / "native" / "native_functions.yaml"
    entries = re.split(r"^- func: ", path.read_text(encoding="utf-8"), flags=re.M)[1:]
    return {entry.partition("(")[0]: entry + "\n" for entry in entries}
