"""The conformance kit: checks that every modality must pass.

backbone_checks.py   checks of the network
data_checks.py       checks of data, pictures, files and metrics
subject.py           the modality under test, with its data and backbone
mps.py               Apple's GPU, pretended on a machine without one

``ptdiff modalities NAME --check`` runs them on the command line; in your own test suite::

    from ptdiff.testing import CHECKS, Subject

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_modality_conforms(check):
        check(Subject(MyModality(count=64)))

A check returns, or raises AssertionError with a message that says what to fix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ptdiff.modality import registry
from ptdiff.testing import backbone_checks as network
from ptdiff.testing import data_checks as data
from ptdiff.testing.subject import Subject

__all__ = ["CHECKS", "Finding", "Subject", "check_modality"]

CHECKS: list[Callable[[Subject], None]] = [
    data.options_are_a_frozen_dataclass_of_plain_values,
    data.batches_have_the_declared_shape,
    data.samples_are_a_pure_function_of_id_and_seed,
    data.normalized_data_has_unit_variance,
    data.splits_do_not_share_samples,
    network.the_backbone_keeps_shapes_and_stays_finite,
    network.samples_do_not_see_each_other,
    network.not_given_is_said_in_two_ways,
    data.conditions_are_as_declared,
    network.the_backbone_listens_to_every_condition,
    network.no_estimate_is_said_in_two_ways,
    network.the_backbone_listens_to_the_noise_level,
    network.sets_have_no_order,
    network.padding_changes_nothing,
    network.every_parameter_learns,
    data.pictures_are_pictures,
    data.files_are_written,
    data.the_recipe_fits_the_configuration,
    data.metrics_know_a_good_set_from_a_bad_one,
]


@dataclass(frozen=True)
class Finding:
    """Outcome of one check; ``problem`` is None if it passed."""

    check: str
    problem: str | None


def check_modality(name: str, options: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """Run every check on a modality, given by name or as ``module:Class``."""
    registry.trust(name)
    subject = Subject(registry.load(name, options))
    for check in CHECKS:
        try:
            check(subject)
        except Exception as error:
            # a plugin may fail in any way; the kit reports it and continues with the next check
            said = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            yield Finding(check.__name__.replace("_", " "), said)
        else:
            yield Finding(check.__name__.replace("_", " "), None)
