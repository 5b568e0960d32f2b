"""`ptdiff_datasets.clouds.address`: numbers that depend on the name and the stream alone."""

import numpy as np

from ptdiff_datasets.clouds.address import address, fraction


def test_addresses_are_fixed_for_good() -> None:
    """A change would give every cached shape other points and move shapes between training and validation."""
    assert address("split", "chair/1.obj") == 2207733009097635245
    assert address("draw", "chair/1.obj") == 17702972944331521860


def test_streams_are_independent_and_fractions_uniform() -> None:
    names = [f"chair/{i}.obj" for i in range(5000)]
    one, other = (np.array([fraction(stream, name) for name in names]) for stream in ("split", "draw"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / len(names) ** 0.5
    for values in (one, other):
        counts, _ = np.histogram(values, 20, (0, 1))
        assert ((counts - 250) ** 2 / 250).sum() < 52  # chi-squared, 19 degrees, p = 1e-4


def test_names_that_are_no_text_have_addresses() -> None:
    assert address("draw", "caf\udce9.obj") != address("draw", "café.obj")
