"""Modalities with spoiled training, samples, images, files and metrics, and the check that finds each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from good_modality import Dots, Good, method_with, scores_with, sheets_with

from ptdiff.metrics import Score
from ptdiff.modality import EvaluationProtocol, Measurement, Media, Modality


def image(made: Any) -> type[Modality]:
    return sheets_with(lambda self, samples, titles: made)


def open_figure(self: Any, samples: Any, titles: Any) -> Any:
    from matplotlib import pyplot

    pyplot.figure()
    return Dots.sheet(self, samples, titles)


def style(self: Any, samples: Any, titles: Any) -> Any:
    import matplotlib

    matplotlib.rcParams["font.size"] += 1
    return Dots.sheet(self, samples, titles)


def shifted(self: Any, samples: Any, titles: Any) -> Any:
    samples += 1
    return Dots.sheet(self, samples, titles)


def in_numbers(self: Any, samples: Any, titles: Any) -> Any:
    scale = 30 / samples.std()
    if not np.isfinite(scale):
        raise ZeroDivisionError("nothing to see")
    return Dots.sheet(self, samples * scale / 5, titles)


def in_math(self: Any, samples: Any, titles: Any) -> Any:
    if any("$" in title for title in titles):
        raise ValueError("unmatched $")
    return Dots.sheet(self, samples, titles)


class OneFrame(Dots):
    def play(self, samples: Any, titles: Any) -> Any:
        return [self.sheet(samples, titles)]


class NoHeader(Dots):
    def media(self, sample: Any) -> Any:
        return Media("audio/wav", sample.tobytes())


class BareBytes(Dots):
    def media(self, sample: Any) -> Any:
        return sample.tobytes()


class NoPage(Dots):
    def page(self, samples: Any, titles: Any, trajectory: Any = None) -> Any:
        return b"<html>"


class Tall(Dots):
    def tile(self, samples: Any, titles: Any, side: int) -> Any:
        return self.sheet(samples, titles).repeat(8, axis=0)


class Palette(Dots):
    """Images that only a writer of its own could save."""

    def sheet(self, samples: Any, titles: Any) -> Any:
        return super().sheet(samples, titles).view(_Refusing)


class _Refusing(np.ndarray[Any, Any]):
    @property
    def __array_interface__(self) -> Any:
        raise ValueError("no such interface")


def crossed(path: Path, x: Any) -> None:
    np.savetxt(path, x[:, ::-1])


def beside(path: Path, x: Any) -> None:
    np.savetxt(path, x)
    path.with_suffix(".log").write_text("done")


def sloppy(self: Any, path: Path) -> Any:
    return np.zeros((5, 2), np.float32) if path.stem != "sample" else Good().read(path)


def failing(self: Any, path: Path) -> Any:
    if path.stem != "sample":
        raise KeyError(path.name)
    return Good().read(path)


def in_order(sets: Any) -> Score:
    first = float(sets.samples[0].mean())
    return Score(first, first, first, 0.0)


def at_random(sets: Any) -> Score:
    value = float(torch.rand(()))
    return Score(value, value - 1, value + 1, 0.0)


def of_spread(sets: Any) -> Score:
    return Score(1 / float(sets.samples.std()), 0.0, 1.0, 0.0)


SPOILED: dict[str, tuple[type[Modality], str]] = {
    "postprocessing that fails": (
        method_with(postprocess=lambda self, x, data: x.reshape(-1, 3)),
        "samples_have_the_shape_of_the_data",
    ),
    "samples that are not finite": (
        method_with(postprocess=lambda self, x, data: x / 0 if not x.is_inference() else x),
        "postprocessing_keeps_what_is_data",
    ),
    "postprocessing in place": (
        method_with(postprocess=lambda self, x, data: x.add_(1) if not x.is_inference() else x),
        "postprocessing_keeps_what_is_data",
    ),
    "postprocessing that changes data": (
        method_with(postprocess=lambda self, x, data: x.clamp(-1, 1)),
        "postprocessing_keeps_what_is_data",
    ),
    "a bin width of other data": (
        method_with(bin_width=property(lambda self: 0.4)),
        "data_is_a_multiple_of_the_bin_width",
    ),
    "a bin width that is NaN": (method_with(bin_width=property(lambda self: float("nan"))), "likelihoods_are_finite"),
    "the farthest as the nearest": (
        method_with(nearest=lambda self, x, y, progress=None: torch.cdist(x.flatten(1), y.flatten(1)).max(dim=1)),
        "distances_find_the_nearest_sample",
    ),
    "nearest with a matrix": (
        method_with(nearest=lambda self, x, y, progress=None: (torch.cdist(x.flatten(1), y.flatten(1)),) * 2),
        "distances_find_the_nearest_sample",
    ),
    "no visualizer": (method_with(visualizer=lambda self: object()), "the_visualizer_is_one"),
    "an image of numbers in [0, 1]": (image(np.random.default_rng(0).random((8, 8, 3))), "images_are_rgb_arrays"),
    "an image with transparency": (image(np.eye(8, dtype=np.uint8)[..., None].repeat(4, 2)), "images_are_rgb_arrays"),
    "a blank image": (image(np.full((8, 8, 3), 255, dtype=np.uint8)), "images_are_rgb_arrays"),
    "the same image for all": (image(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)), "images_show_the_samples"),
    "an image of four samples alone": (
        sheets_with(lambda self, x, titles: Dots.sheet(self, [x[i] for i in range(min(4, 2 * len(x)))], titles)),
        "images_have_any_number_of_samples",
    ),
    "an image scaled by the spread": (sheets_with(in_numbers), "images_of_extreme_samples_are_made"),
    "titles as formulas": (sheets_with(in_math), "titles_may_be_any_text"),
    "samples moved in place": (sheets_with(shifted), "images_leave_samples_and_styles_alone"),
    "a figure left open": (sheets_with(open_figure), "images_leave_samples_and_styles_alone"),
    "a style for everybody": (sheets_with(style), "images_leave_samples_and_styles_alone"),
    "a tile that is too tall": (method_with(visualizer=lambda self: Tall()), "tiles_fit_their_side"),
    "an image that cannot be saved": (method_with(visualizer=lambda self: Palette()), "rendered_files_are_png_images"),
    "an animation of one image": (method_with(visualizer=lambda self: OneFrame()), "optional_views_work"),
    "a page of bytes": (method_with(visualizer=lambda self: NoPage()), "optional_views_work"),
    "sound as bare numbers": (method_with(visualizer=lambda self: NoHeader()), "optional_views_work"),
    "sound without its type": (method_with(visualizer=lambda self: BareBytes()), "optional_views_work"),
    "a format with a dot": (
        method_with(formats=lambda self: {".txt": lambda path, x: np.savetxt(path, x)}),
        "formats_have_names",
    ),
    "a format named npz": (
        method_with(formats=lambda self: {"npz": lambda path, x: np.savez(path, x)}),
        "formats_have_names",
    ),
    "a format that writes nothing": (
        method_with(formats=lambda self: {"txt": lambda path, x: path.touch()}),
        "files_are_written",
    ),
    "a format that writes two files": (method_with(formats=lambda self: {"txt": beside}), "files_are_written"),
    "a table that is not written": (
        method_with(tables=lambda self: {"tsv": lambda path, x, classes: None if classes else np.savetxt(path, x[0])}),
        "tables_are_written",
    ),
    "coordinates crossed on the way": (
        method_with(formats=lambda self: {"txt": crossed}),
        "files_are_read_as_they_were_written",
    ),
    "a damaged file as zeros": (method_with(read=sloppy), "files_that_cannot_be_read_are_reported"),
    "a damaged file as a bug": (method_with(read=failing), "files_that_cannot_be_read_are_reported"),
    "a missing folder as good data": (
        method_with(check_data=lambda self, source, progress=None: {"ok": True, "text": "good"}),
        "missing_sources_are_reported",
    ),
    "no protocols": (method_with(protocols=lambda self: {}), "protocols_are_described"),
    "protocols by a line alone": (
        method_with(protocols=lambda self: {"mine": "all at once"}),
        "protocols_are_described",
    ),
    "any protocol": (
        method_with(
            protocols=lambda self: {"mine": EvaluationProtocol("all at once")},
            compare=lambda self, sets, protocol=None: Good().compare(sets),
        ),
        "protocols_are_described",
    ),
    "no scores": (method_with(compare=lambda self, *a, **k: Measurement({})), "scores_are_finite_with_intervals"),
    "a score that is NaN": (
        scores_with(lambda sets: Score(float("nan"), 0.0, 1.0, 0.0)),
        "scores_are_finite_with_intervals",
    ),
    "an interval upside down": (
        scores_with(lambda sets: Score(float(sets.samples.std()), 2.0, 1.0, 0.0)),
        "scores_are_finite_with_intervals",
    ),
    "scores at random": (scores_with(at_random), "scores_are_the_same_every_time"),
    "the score of the first sample": (scores_with(in_order), "scores_do_not_depend_on_the_order"),
    "metrics that always say the same": (
        scores_with(lambda sets: Score(1.0, 0.9, 1.1, 0.5)),
        "metrics_tell_noise_from_data",
    ),
    "metrics that prefer noise": (scores_with(of_spread), "metrics_tell_noise_from_data"),
    "a silent gallery": (
        method_with(gallery=lambda self: {"it": lambda model: None}),
        "gallery_functions_are_described",
    ),
}
