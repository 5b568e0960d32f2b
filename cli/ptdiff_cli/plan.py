"""``ptdiff plan``: hours, memory, disk and money before the work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.terminal import doing, show_json

if TYPE_CHECKING:
    from ptdiff.machine.cost import Workload
    from ptdiff.modality.contract import Modality
    from ptdiff.run.config import Config
    from ptdiff.run.folder import Run


def plan(
    of: Annotated[str, typer.Argument(metavar="RUN_OR_MODALITY", help="Run, model, modality, recipe or YAML file.")],
    samples: Annotated[int | None, typer.Option(min=1, help="Number of samples to generate.")] = None,
    count: Annotated[int | None, typer.Option("-n", "--count", min=2, help="Number of samples to evaluate.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of training steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Training time in minutes on this machine.")] = None,
    machines: Annotated[int, typer.Option(min=1, max=100_000, help="Also plan for this many machines or GPUs.")] = 1,
    gpu: Annotated[str | None, typer.Option(metavar="NAME", help="Also plan for a GPU: h200, h100, a100 …")] = None,
    peak: Annotated[
        float | None, typer.Option(min=0.001, metavar="TFLOPS", help="Also plan for a GPU with this peak.")
    ] = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="Price of an hour of one machine or GPU, in any currency.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Evaluation protocol; default: the modality's first.")] = None,
    batch: options.Batch = None,
    option: options.ModalityOptions = None,
    set_: options.ConfigSettings = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Plan the cost of work: ptdiff plan RUN --samples 100000 --machines 16.

    Measures training steps, samples and comparisons for a few seconds here, and scales them to the whole work, other
    machines and a GPU. Without --samples and -n, training is planned.
    """
    from ptdiff.machine.cost import costs
    from ptdiff.machine.cost import gpu as chosen
    from ptdiff_cli.shared.costs import show_costs

    # before anything is measured
    on = None if gpu is None and peak is None else chosen(gpu, peak)
    config, kind, run = _asked(of, option or [], set_ or [], _length(steps, minutes))
    training = steps is not None or minutes is not None or (run is None and samples is None and count is None)
    if not training and samples is None and count is None:
        raise ValueError("say what to plan: --samples, -n, --steps or --minutes")
    with doing("measuring"):
        works = _measured(config, kind, run, training, samples, count, protocol, batch, device)
    found = [cost for work in works for cost in costs(work, machines, on)]
    if as_json:
        show_json([cost.facts(price) for cost in found])
    else:
        show_costs(found, price)


def _length(steps: int | None, minutes: float | None) -> dict[str, Any]:
    """The length of training as a setting; the one that is given replaces both."""
    if steps is None and minutes is None:
        return {}
    return {"training": {"steps": steps, "minutes": minutes}}


def _asked(
    of: str, option: list[str], settings: list[str], named: dict[str, Any]
) -> tuple[Config, Modality, Run | None]:
    """The configuration and modality of a name or path, and the run if it is one.

    Raises UnknownName, with the nearest name, or RunError, if it is neither a run, a modality, a recipe nor a file.
    """
    from ptdiff.choices import unknown
    from ptdiff.modality import registry
    from ptdiff.run.config import merged, validate
    from ptdiff.run.config import settings as parse
    from ptdiff.run.folder import Run
    from ptdiff.run.models import located, models
    from ptdiff.run.recipes import recipes
    from ptdiff.training.configuration import resolve
    from ptdiff_cli.shared.configuration import overrides
    from ptdiff_cli.shared.terminal import say

    modalities, named_recipes = ([each.name for each in listed] for listed in (registry.modalities(), recipes()))
    is_run = (located(of) / "config.yaml").is_file()
    if of in modalities or (":" in of and "://" not in of):
        return *resolve(overrides(of, None, [], option, settings, named)), None
    if not is_run and (Path(of).is_file() or of in named_recipes):
        return *resolve(overrides(None, None, [of], option, settings, named)), None
    if not is_run and Path(of).name == of and not Path(of).exists():
        raise unknown("run, modality or recipe", of, [*modalities, *(model.name for model in models()), *named_recipes])
    run = Run.open(of, say)
    if option:
        raise ValueError("-o is for a modality or recipe: a run has its options")
    values = merged(run.config.model_dump(mode="json"), parse(settings, "section.key=value"))
    return validate(merged(values, named)), run.modality(), run


def _measured(
    config: Config,
    kind: Modality,
    run: Run | None,
    training: bool,
    samples: int | None,
    count: int | None,
    protocol: str | None,
    batch: int | None,
    device: str,
) -> list[Workload]:
    from ptdiff.denoiser.building import built
    from ptdiff.machine import host
    from ptdiff.model.estimate import evaluation_workloads, sampling_workload
    from ptdiff.sampling.sampler import Plan
    from ptdiff.training.estimate import training_estimate
    from ptdiff_cli.shared.session import read_data

    where, works = host.device(device), []
    data = run.data if run is not None and not training and count is None else read_data(kind)
    if training:
        works.append(training_estimate(config, kind, data, where).work)
    if samples is None and count is None:
        return works
    # the time does not depend on the values of the weights
    denoiser = built(kind, data, config.prediction, flow_map=config.is_flow_map) if run is None else run.denoiser()
    denoiser = denoiser.to(where).requires_grad_(False).eval()
    plan = Plan.chosen(config.process, config.sampling)
    if samples is not None:
        works.append(sampling_workload(denoiser, plan, data, samples, data.shape, device=where, batch=batch))
    if count is not None:
        works += evaluation_workloads(
            denoiser, plan, kind, data, count, data.shape, device=device, batch=batch, protocol=protocol
        )
    return works
