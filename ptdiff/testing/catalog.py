"""All checks by the part of a modality that they are about, and which of them need others to hold.

A fault that every check would stumble over is reported once: the checks that build on the one that finds it are
skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from unittest import SkipTest

from ptdiff.choices import one_of
from ptdiff.testing import (
    backbone_checks,
    condition_checks,
    data_checks,
    file_checks,
    metric_checks,
    option_checks,
    package_checks,
    sampling_checks,
    training_checks,
    visualizer_checks,
)
from ptdiff.testing.subject import Subject

Check = Callable[[Subject], None]

_BY_PART: dict[str, tuple[Check, ...]] = {
    "options": (
        option_checks.options_are_a_frozen_dataclass,
        option_checks.options_survive_config_yaml,
        option_checks.every_option_has_a_help_text,
        option_checks.options_of_the_wrong_type_are_refused,
        option_checks.numbers_have_a_range,
        option_checks.of_data_names_options,
        option_checks.the_class_has_a_help_text,
        option_checks.the_recipe_fits_the_configuration,
    ),
    "data": (
        data_checks.the_data_is_read,
        data_checks.batches_have_the_declared_shape,
        data_checks.samples_are_finite_float32,
        data_checks.every_sample_has_its_conditions,
        data_checks.labels_are_those_of_the_classes,
        data_checks.conditions_are_as_declared,
        data_checks.classes_have_names,
        data_checks.the_facts_survive_the_run_folder,
        data_checks.every_id_can_be_read,
        data_checks.every_seed_is_accepted,
        data_checks.the_same_ids_and_seed_give_the_same_samples,
        data_checks.a_sample_does_not_depend_on_its_batch,
        data_checks.samples_ignore_the_global_random_state,
        data_checks.samples_do_not_depend_on_threads,
        data_checks.changing_a_batch_leaves_the_data_alone,
        data_checks.splits_do_not_share_samples,
        data_checks.normalized_data_has_unit_variance,
        data_checks.numbers_keep_their_digits,
        data_checks.plain_samples_are_those_without_augmentation,
        data_checks.data_that_is_missing_is_reported,
    ),
    "network": (
        backbone_checks.the_backbone_is_built,
        backbone_checks.the_backbone_keeps_shapes,
        backbone_checks.backbones_need_no_samples,
        backbone_checks.the_backbone_is_finite_at_every_noise_level,
        backbone_checks.the_backbone_depends_on_the_noise_level,
        backbone_checks.the_backbone_depends_on_its_input,
        backbone_checks.samples_do_not_affect_each_other,
        backbone_checks.the_backbone_has_no_memory,
        backbone_checks.the_backbone_stores_nothing_of_a_call,
        backbone_checks.the_backbone_leaves_its_inputs_alone,
        backbone_checks.the_backbone_runs_in_bfloat16,
        backbone_checks.the_backbone_moves_to_another_device,
        backbone_checks.networks_are_the_same_for_a_seed,
        backbone_checks.weights_alone_make_the_network,
        backbone_checks.the_network_can_be_copied,
        backbone_checks.sets_have_no_order,
        backbone_checks.sets_have_any_number_of_elements,
        backbone_checks.padding_changes_nothing,
    ),
    "conditions": (
        condition_checks.not_given_is_said_in_two_ways,
        condition_checks.the_backbone_uses_the_label,
        condition_checks.labels_are_dropped_for_single_samples,
        condition_checks.the_backbone_uses_every_declared_condition,
        condition_checks.every_condition_is_used,
        condition_checks.every_condition_may_be_missing,
        condition_checks.no_estimate_is_said_in_two_ways,
    ),
    "training": (
        training_checks.a_run_is_trained,
        training_checks.every_parameter_gets_a_gradient,
        training_checks.gradients_reach_the_input,
        training_checks.the_backbone_trains_after_sampling,
        training_checks.the_loss_falls_on_one_batch,
        training_checks.a_resumed_run_is_the_same_bit_for_bit,
    ),
    "sampling": (
        sampling_checks.samples_have_the_shape_of_the_data,
        sampling_checks.a_sample_is_a_function_of_its_id_and_seed,
        sampling_checks.every_way_of_sampling_works,
        sampling_checks.samples_have_any_number_of_elements,
        sampling_checks.postprocessing_keeps_what_is_data,
        sampling_checks.likelihoods_are_finite,
        sampling_checks.data_is_a_multiple_of_the_bin_width,
        sampling_checks.distances_find_the_nearest_sample,
    ),
    "images": (
        visualizer_checks.the_visualizer_is_one,
        visualizer_checks.images_are_rgb_arrays,
        visualizer_checks.images_show_the_samples,
        visualizer_checks.images_have_any_number_of_samples,
        visualizer_checks.images_of_extreme_samples_are_made,
        visualizer_checks.titles_may_be_any_text,
        visualizer_checks.images_leave_samples_and_styles_alone,
        visualizer_checks.tiles_fit_their_side,
        visualizer_checks.rendered_files_are_png_images,
        visualizer_checks.optional_views_work,
    ),
    "files": (
        file_checks.formats_have_names,
        file_checks.files_are_written,
        file_checks.tables_are_written,
        file_checks.files_are_read_as_they_were_written,
        file_checks.files_that_cannot_be_read_are_reported,
        file_checks.sample_files_are_read_again,
        file_checks.missing_sources_are_reported,
    ),
    "metrics": (
        metric_checks.protocols_are_described,
        metric_checks.scores_are_finite_with_intervals,
        metric_checks.scores_are_the_same_every_time,
        metric_checks.scores_do_not_depend_on_the_order,
        metric_checks.metrics_tell_noise_from_data,
        metric_checks.gallery_functions_are_described,
    ),
    "package": (
        package_checks.importing_is_light,
        package_checks.importing_has_no_effects,
        package_checks.reading_data_prints_nothing,
        package_checks.reading_data_writes_to_the_cache_alone,
        package_checks.another_process_finds_the_same,
        package_checks.imports_are_public,
        package_checks.the_entry_point_leads_to_the_class,
        package_checks.the_name_is_its_own,
        package_checks.the_distribution_requires_ptdiff,
    ),
}

_FOUNDATIONS: dict[str, tuple[Check, ...]] = {
    "options": (option_checks.the_recipe_fits_the_configuration,),
    "data": (
        data_checks.the_data_is_read,
        data_checks.batches_have_the_declared_shape,
        data_checks.samples_are_finite_float32,
        data_checks.every_sample_has_its_conditions,
        data_checks.labels_are_those_of_the_classes,
        data_checks.conditions_are_as_declared,
    ),
    "network": (backbone_checks.the_backbone_is_built, backbone_checks.the_backbone_keeps_shapes),
    "training": (training_checks.a_run_is_trained,),
    "images": (visualizer_checks.the_visualizer_is_one, visualizer_checks.images_are_rgb_arrays),
    "files": (file_checks.formats_have_names,),
}
"""Checks without which those after them, of the same part and of parts that build on it, say nothing."""

_BUILT_ON: dict[str, tuple[str, ...]] = {
    "options": (),
    "data": ("data",),
    "network": ("data", "network"),
    "conditions": ("data", "network"),
    "training": ("options", "data", "network", "training"),
    "sampling": ("options", "data", "network", "training"),
    "images": ("data", "images"),
    "files": ("data", "files"),
    "metrics": ("data",),
    "package": (),
}
"""The parts whose foundations a part needs."""


def _guarded(check: Check, needs: Sequence[Check]) -> Check:
    """``check``, which is skipped if one of ``needs`` fails; its outcome is kept on the subject."""

    @wraps(check)
    def guarded(subject: Subject) -> None:
        for need in needs:
            if not _holds(need, subject):
                raise SkipTest(f"needs: {words(need)}")
        subject.held[check.__name__] = False
        try:
            check(subject)
        except SkipTest:
            subject.held[check.__name__] = True
            raise
        subject.held[check.__name__] = True

    return guarded


def _holds(check: Check, subject: Subject) -> bool:
    """True unless ``check`` fails, which is found out once for each subject."""
    if check.__name__ not in subject.held:
        try:
            check(subject)
        except SkipTest:
            pass
        except Exception:
            subject.held[check.__name__] = False
        subject.held.setdefault(check.__name__, True)
    return subject.held[check.__name__]


def _needed_by(part: str, check: Check) -> list[Check]:
    """The foundations that come before a check, in the order of the checks."""
    order = [each for checks in _BY_PART.values() for each in checks]
    before = order[: order.index(check)]
    return [need for base in _BUILT_ON[part] for need in _FOUNDATIONS.get(base, ()) if need in before]


PARTS: dict[str, tuple[Check, ...]] = {
    part: tuple(_guarded(check, _needed_by(part, check)) for check in checks) for part, checks in _BY_PART.items()
}
"""The checks by part, in the order in which they run."""

CHECKS: list[Check] = [check for checks in PARTS.values() for check in checks]


def words(check: Check) -> str:
    """The name of a check in words."""
    return check.__name__.replace("_", " ")


def proves(check: Check) -> str:
    """The property that a check proves, in one line."""
    line = " ".join((check.__doc__ or "").split()).replace("``", "`")
    return line.removeprefix("Check ").removeprefix("that ").removesuffix(".")


def selected(only: Sequence[str] = ()) -> list[tuple[str, Check]]:
    """The checks of these parts and names, each with its part; UnknownName for another name."""
    every = [(part, check) for part, checks in PARTS.items() for check in checks]
    known = [*PARTS, *(check.__name__ for check in CHECKS)]
    wanted = {one_of("check", name.replace(" ", "_"), known) for name in only}
    return [(part, check) for part, check in every if not only or part in wanted or check.__name__ in wanted]
