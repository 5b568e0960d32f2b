"""Sets of different sizes, as padded tensors.

    batches of a split, model units     x (b, n, …) and cond["mask"], bool (b, n): True for elements, False for padding,
                                        which follows them.  In model units padding is zero and stays zero.
    samples, world units                x (b, n, …) whose padding is NaN, so that code that ignores the sizes computes
                                        NaN and not a wrong number
    pictures and tables                 an array of arrays, each with the elements of one set

A batch without a mask has sets of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from ptdiff.modality.data import Condition


class RaggedSplit:
    """A split of sets in memory, each with its own number of elements.

    ``sets``: tensors (n_i, …) in world units, with at least one element each.
    ``label``: classes, int64 (number of sets,), or None.
    ``conditions``: other conditions by name, see :attr:`ptdiff.modality.data.Data.conditions`.
    ``largest``: number of elements to which batches are padded; default: that of the largest set.

    Raises ValueError for an empty set, one larger than ``largest``, and conditions of another length.
    """

    def __init__(
        self,
        sets: Sequence[Tensor],
        label: Tensor | None = None,
        conditions: Mapping[str, Tensor] | None = None,
        largest: int | None = None,
    ) -> None:
        import torch

        self.sizes = torch.tensor([len(one) for one in sets])
        most = int(self.sizes.max()) if len(sets) else 0
        self.largest = most if largest is None else largest
        if len(sets) and (int(self.sizes.min()) < 1 or most > self.largest):
            raise ValueError(f"a set must have between 1 and {self.largest} elements, not {self.sizes.tolist()[:8]} …")
        given = {**({} if label is None else {"label": label}), **(conditions or {})}
        for name, value in given.items():
            if len(value) != len(sets):
                raise ValueError(f"{len(sets)} sets but {len(value)} values of {name}")
        self.elements = torch.cat(list(sets)) if len(sets) else torch.zeros(0)
        self.starts = self.sizes.cumsum(0) - self.sizes
        self.given = given

    def __len__(self) -> int:
        return len(self.sizes)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Sets ``ids`` (b,) padded to (b, largest, …), with their conditions and the mask; ``seed`` is ignored."""
        mask = mask_of(self.sizes[ids], self.largest)
        # a place in the padding reads some element, which is replaced
        places = (self.starts[ids][:, None] + mask.cumsum(1) - 1).clamp(min=0)
        return padded(self.elements[places], mask), {**{k: v[ids] for k, v in self.given.items()}, "mask": mask}


def mask_of(sizes: Tensor, largest: int) -> Tensor:
    """The mask, bool (b, largest), of sets with ``sizes`` (b,) elements."""
    import torch

    return torch.arange(largest, device=sizes.device) < sizes[:, None]


def _wide(mask: Tensor, x: Tensor) -> Tensor:
    return mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """``x`` (b, n, …) with zeros in the padding; unchanged without a mask."""
    import torch

    return x if mask is None else torch.where(_wide(mask, x), x, torch.zeros_like(x))


def padded(x: Tensor, mask: Tensor | None) -> Tensor:
    """``x`` (b, n, …) with NaN in the padding; unchanged without a mask."""
    return x if mask is None else x.masked_fill(~_wide(mask, x), float("nan"))


def per_element(means: Tensor, mask: Tensor | None) -> Tensor:
    """Means (b,) over all n places, of numbers that are zero in the padding, as means over the elements."""
    return means if mask is None else means / mask.to(means.dtype).mean(dim=1)


def sizes_of(x: Any) -> Any:
    """Number of elements (b,) of each set in x (b, n, …), a tensor or array whose padding is NaN.

    Raises ValueError unless every set has at least one element, all of them finite, and padding after them.
    """
    finite, nothing = x == x, x != x
    finite, nothing = (part.reshape(*x.shape[:2], -1).all(-1) for part in (finite, nothing))
    sizes = finite.sum(1)
    first = finite[:, :1].all() and (finite | nothing).all() and not (finite[:, 1:] & ~finite[:, :-1]).any()
    if not bool(first):
        raise ValueError("sets must have at least one element and no NaN but in the padding after their elements")
    return sizes


def is_ragged(x: Any) -> bool:
    """True if x (b, n, …), a tensor or array, has padding."""
    return x.ndim > 2 and bool((x != x).any())


def sets_of(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The sets of an array (b, n, …): an object array (b,) of arrays (n_i, …); ``x`` itself if it has no padding."""
    import numpy as np

    if not is_ragged(x):
        return x
    sets = np.empty(len(x), dtype=object)
    for i, size in enumerate(sizes_of(x).tolist()):
        sets[i] = x[i, :size]
    return sets


def stacked(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Concatenate batches (…, b, n, …) along the batch ``axis``, padded with NaN to the largest n."""
    import torch

    most = max(part.shape[axis + 1] for part in parts) if parts[0].ndim > axis + 1 else None
    wide = []
    for part in parts:
        if most is not None and part.shape[axis + 1] < most:
            shape = list(part.shape)
            shape[axis + 1] = most - shape[axis + 1]
            part = torch.cat([part, part.new_full(shape, float("nan"))], dim=axis + 1)
        wide.append(part)
    return torch.cat(wide, dim=axis)


def by_size(x: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply ``make`` to the sets of each size on their own, without padding; the result is padded with NaN again."""
    import torch

    if not is_ragged(x):
        return make(x)
    sizes = sizes_of(x)
    out = torch.full_like(x, float("nan"))
    for size in sizes.unique().tolist():
        rows = sizes == size
        out[rows, :size] = make(x[rows, :size]).to(out)
    return out


def refuse_padding(cond: Condition) -> None:
    """Raise ValueError if ``cond`` has a mask with padding, for what is computed for sets of one size only."""
    if "mask" in cond and not bool(cond["mask"].all()):
        raise ValueError("sets of different sizes need one call for each size, without padding and mask")
