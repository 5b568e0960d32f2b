"""A good modality passes every check, and one spoiled in one respect fails the check of that respect."""

from __future__ import annotations

import pytest
import spoiled_data
import spoiled_network
import spoiled_rest
from good_modality import Good, Ragged

from ptdiff.testing import CHECKS, PARTS, Subject, findings

SPOILED = spoiled_data.SPOILED | spoiled_network.SPOILED | spoiled_rest.SPOILED

ALSO = {
    "a mean of another shape": "network metrics",
    "a count of the reads": "metrics",
    "torch's random state": "metrics",
    "NumPy's random state": "metrics",
    "Python's random state": "metrics",
    "a count of the calls": "conditions",
    "a list of the calls": "conditions",
    "a weight that must be given": "network files",
    "a loss that cannot fall": "network conditions",
    "a cache of the first call": "network",
    "random numbers of Python's in training": "network",
    "postprocessing that fails": "files",
    "samples that are not finite": "files",
}
"""Parts other than that of its check in which a spoiled modality fails too."""

INHERITED = (
    # a check of the core alone, which a modality can only fail by its data or by its postprocessing
    "a_sample_is_a_function_of_its_id_and_seed",
    "every_way_of_sampling_works",
    "samples_have_any_number_of_elements",
    "sample_files_are_read_again",
    "a_run_is_trained",
)
"""Checks that fail with faults that an earlier check finds, and that pass if those before them pass."""


@pytest.fixture(scope="module", params=[Good, Ragged])
def good(request: pytest.FixtureRequest) -> Subject:
    return Subject(request.param())


@pytest.mark.parametrize("check", [check for part in PARTS if part != "package" for check in PARTS[part]])
def test_a_good_modality_passes_every_check(check: object, good: Subject) -> None:
    (finding,) = findings(good, [check.__name__])  # type: ignore[attr-defined]
    assert finding.problem is None
    # two views are optional, self-conditioning depends on the network, and padding on the data
    optional = ("optional views work", "no estimate is said in two ways", "padding changes nothing")
    assert finding.skipped is None or finding.check in optional


def test_no_two_spoiled_modalities_have_the_same_name() -> None:
    assert len(SPOILED) == sum(map(len, (spoiled_data.SPOILED, spoiled_network.SPOILED, spoiled_rest.SPOILED)))


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_modality_spoiled_in_one_respect_fails_the_check_of_that_respect(spoil: str) -> None:
    kind, name = SPOILED[spoil]
    (finding,) = findings(Subject(kind()), [name])
    assert finding.problem is not None, finding.skipped


def test_every_check_has_a_modality_that_fails_it() -> None:
    outside = {check.__name__ for check in PARTS["package"]}
    covered = {name for _, name in SPOILED.values()}
    assert sorted(check.__name__ for check in CHECKS if check.__name__ not in {*covered, *outside, *INHERITED}) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("spoil", SPOILED)
def test_a_spoiled_modality_fails_no_check_of_another_part(spoil: str) -> None:
    kind, name = SPOILED[spoil]
    own = next(part for part, checks in PARTS.items() if name in {check.__name__ for check in checks})
    parts = {own, "options", "data", "network", "conditions", "files", "metrics"}
    found = {f.part for f in findings(Subject(kind()), sorted(parts)) if f.problem is not None}
    assert own in found <= {own, *ALSO.get(spoil, "").split()}
