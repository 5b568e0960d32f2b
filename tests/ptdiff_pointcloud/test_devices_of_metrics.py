"""Cloud distances are computed on the device that is asked for, also where there is a GPU."""

import pytest
import torch

from ptdiff.modality import Comparison
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.metrics.distances import DISTANCES, all_distances
from ptdiff_pointcloud.metrics.protocols import PROTOCOLS, Protocol

ON_A_GPU = [name for name, distance in DISTANCES.items() if distance.card]


@pytest.fixture
def _a_gpu_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("a tensor would really move to this machine's GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("_a_gpu_that_fails")
@pytest.mark.parametrize("kind", ON_A_GPU)
def test_distances_stay_on_the_device_of_the_clouds(kind: str) -> None:
    x = torch.randn(3, 8, 3)
    assert all_distances(kind, x, x + 1).device.type == "cpu"


@pytest.mark.usefixtures("_a_gpu_that_fails")
def test_a_comparison_on_the_cpu_leaves_the_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, "few", Protocol("few points", ("emd_pytorchemd",), 8))
    x = torch.randn(4, 8, 3)
    assert PointCloud().compare(Comparison(x, x + 0.1, x - 0.1, device="cpu"), "few").scores
    with pytest.raises((RuntimeError, AssertionError)):
        PointCloud().compare(Comparison(x, x + 0.1, x - 0.1, device="cuda"), "few")
