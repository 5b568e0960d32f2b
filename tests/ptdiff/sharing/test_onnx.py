"""ONNX Runtime computes what torch does, for any batch and number of points; anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.errors import Unsupported
from ptdiff.modality import registry
from ptdiff.model import Model, load
from ptdiff.model.onnx import save_network

if TYPE_CHECKING:
    from collections.abc import Mapping

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def agrees(file: Path, model: Model, counts: tuple[int, ...], points: int | None = None) -> None:
    """Compare ONNX Runtime with torch on random inputs."""
    session = runtime.InferenceSession(str(file))
    shape = model.data.shape if points is None else (points, *model.data.shape[1:])
    for count in counts:
        inputs = {"x": torch.randn(count, *shape), "angle": 1.5 * torch.rand(count)}
        cond: Mapping[str, torch.Tensor] = {}
        if model.data.classes:
            cond = {"label": torch.arange(count) % (len(model.data.classes) + 1) - 1}
        with torch.inference_mode():
            right = model.denoiser.net(inputs["x"], inputs["angle"], cond)
        (found,) = session.run(None, {k: v.numpy() for k, v in {**inputs, **cond}.items()})
        assert torch.allclose(torch.from_numpy(found), right, rtol=1e-5, atol=1e-5 * float(right.abs().max()))


def test_points_agree_and_the_file_says_how_to_use_it(model: Model, tmp_path: Path) -> None:
    file = Path(model.export(tmp_path / "net.onnx"))
    agrees(file, model, (1, 2, 9))
    facts = runtime.InferenceSession(str(file)).get_modelmeta().custom_metadata_map
    assert json.loads(facts["ptdiff.prediction"]) == model.run.config.prediction
    assert json.loads(facts["ptdiff.classes"]) == list(model.data.classes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shapes", "digits"])
def test_the_models_that_ship_agree(name: str, tmp_path: Path) -> None:
    model = load(name)
    file = Path(model.export(tmp_path / f"{name}.onnx"))
    agrees(file, model, (1, 4))
    if model.data.unordered:
        agrees(file, model, (3,), points=100)


def _cloud_model(network: str) -> Any:
    kind = registry.load("pointcloud", {"network": network, "size": "tiny", "points": 64, "shapes_per_class": 4})
    data = kind.dataset()
    torch.manual_seed(0)
    denoiser = NetworkDenoiser(kind.backbone(data)).eval()
    with torch.no_grad():
        # the last layer of a fresh network is zero
        for weight in denoiser.parameters():
            weight += 0.05 * torch.randn_like(weight)
    config = SimpleNamespace(modality="pointcloud", prediction="velocity")
    return SimpleNamespace(data=data, denoiser=denoiser, run=SimpleNamespace(config=config))


@pytest.mark.slow
@pytest.mark.parametrize("network", ["set-transformer", "latent", "dit", "pointwise"])
def test_networks_of_clouds_agree(network: str, tmp_path: Path) -> None:
    model = _cloud_model(network)
    agrees(save_network(model, tmp_path / "net.onnx"), model, (1, 5))


@pytest.mark.slow
@pytest.mark.parametrize("network", ["pointnet", "point-transformer", "pvcnn"])
def test_a_network_that_cannot_be_exported_is_refused(network: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"export|load") as caught:
        save_network(_cloud_model(network), tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_result_that_differs_is_refused(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = model.denoiser.net.forward

    def spoiled(*inputs: Any) -> torch.Tensor:
        y: torch.Tensor = real(*inputs)
        return y + 0.01 if torch.compiler.is_exporting() else y

    monkeypatch.setattr(model.denoiser.net, "forward", spoiled)
    with pytest.raises(Unsupported, match="a different result from torch"):
        model.export(tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()
