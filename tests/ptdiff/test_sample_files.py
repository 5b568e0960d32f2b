"""Files of samples that are not what their suffix says: one line about each, and no file left open."""

from pathlib import Path

import numpy as np
import pytest

from ptdiff.sampling.files import read


def test_a_single_array_called_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "array.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"array\.npz: it is a single array"):
        read(path)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_an_archive_that_was_cut_is_refused_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    np.savez(path, samples=np.zeros((3, 2)))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"cut\.npz: it cannot be read as npz"):
        read(path)
