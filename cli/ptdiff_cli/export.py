"""``ptdiff export``: a model as a folder to share, on the Hugging Face Hub, or in ONNX."""

from __future__ import annotations

from typing import Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.terminal import doing, say, show


def export(
    run: options.RunOrModel,
    to: Annotated[str, typer.Option(help="A folder, an .onnx file, or hf://owner/name.")],
    weights: options.Weights = None,
    license_: Annotated[str | None, typer.Option("--license", help="License of the weights, such as mit.")] = None,
    half: Annotated[bool, typer.Option("--half", help="Store the weights in float16.")] = False,
    samples: Annotated[
        int, typer.Option(min=0, help="Number of samples in the image on the card; 0 for no image.")
    ] = 9,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite an earlier export.")] = False,
) -> None:
    """Export a model to share it: ptdiff export RUN --to FOLDER.

    The folder contains safetensors, a configuration and a model card. Load it with ptdiff.load(FOLDER), or use it
    in place of a run. --to hf://owner/name uploads it; --to net.onnx writes the network alone.
    """
    from ptdiff.model.loaded import load

    model = load(run, device="cpu", weights=weights, warn=say)
    with doing(f"exporting {run}"):
        place = model.export(to, license=license_, half=half, samples=samples, replace=replace, say=say)
    show(str(place))
    if to.endswith(".onnx"):
        say("inputs x, angle and label; see docs/sharing.md")
    else:
        say(f"next: ptdiff sample {place} -n 16")
