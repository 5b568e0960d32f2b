"""ptdiff: diffusion models for 3-D point clouds and other data.

    import ptdiff

    model = ptdiff.load("swissroll")
    model.sample(16, solver="heun", steps=20).save("samples.npz")

The main concepts: Process (:mod:`ptdiff.process`), Denoiser (:mod:`ptdiff.denoiser.network`), Solver
(:mod:`ptdiff.solvers`), Modality (:mod:`ptdiff.modality.contract`) and Run (:mod:`ptdiff.run.folder`).  Importing this
package is fast, because each name of ``PUBLIC`` is imported on first use.  docs/python.md describes all of them.
"""

TYPE_CHECKING = False  # as in typing, whose import would take longer than the rest
if TYPE_CHECKING:
    from ptdiff import metrics as metrics
    from ptdiff import process as _process
    from ptdiff import solvers as solvers
    from ptdiff.modality.contract import Modality as Modality
    from ptdiff.modality.data import Data as Data
    from ptdiff.model import Model as Model
    from ptdiff.model import load as load
    from ptdiff.run.folder import Run as Run
    from ptdiff.sampling.sampler import Plan as Plan
    from ptdiff.sampling.samples import Samples as Samples
    from ptdiff.training.train import train as train
    from ptdiff_pointcloud.metrics.chamfer import chamfer as chamfer
    from ptdiff_pointcloud.metrics.set_metrics import nna as nna

    processes = _process

__version__ = "0.2.0"

PUBLIC = {
    "load": "ptdiff.model",
    "Model": "ptdiff.model",
    "Samples": "ptdiff.sampling.samples",
    "train": "ptdiff.training.train",
    "Run": "ptdiff.run.folder",
    "Plan": "ptdiff.sampling.sampler",
    "Modality": "ptdiff.modality.contract",
    "Data": "ptdiff.modality.data",
    # for point clouds, from the plugin that is installed with ptdiff
    "chamfer": "ptdiff_pointcloud.metrics.chamfer",
    "nna": "ptdiff_pointcloud.metrics.set_metrics",
}
"""The names of ``import ptdiff``, and the module of each; the imports above are the same for type checkers."""

MODULES = {"solvers": "ptdiff.solvers", "processes": "ptdiff.process", "metrics": "ptdiff.metrics"}
"""Modules with all solvers and processes (classes, and SOLVERS and PROCESSES by name), and metrics for any arrays."""


def _first_use(name: str) -> object:
    """Import ``name`` on first use; AttributeError for an unknown one."""
    from importlib import import_module

    if name in MODULES:
        found: object = import_module(MODULES[name])
    elif name in PUBLIC:
        found = getattr(import_module(PUBLIC[name]), name)
    else:
        import difflib

        near = difflib.get_close_matches(name, __dir__(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"module 'ptdiff' has no attribute {name!r}{hint}")
    globals()[name] = found
    return found


if not TYPE_CHECKING:
    # hidden from type checkers, which would otherwise accept any name
    __getattr__ = _first_use


def __dir__() -> list[str]:
    return sorted({"__version__", *PUBLIC, *MODULES})
