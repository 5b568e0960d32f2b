"""The configuration of a run: the contents of config.yaml, validated on reading and immutable afterwards.

Precedence, from lowest to highest: defaults, the modality's recipe, configuration files in order, single settings.

A file begins with its format number.  Files without one have format 1 (ptdiff 0.1) and are read the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ptdiff.choices import SHOWN, one_line, refuse_other_kind, unknown
from ptdiff.documents.yamls import parse_yaml, read_yaml, yaml_text
from ptdiff.errors import check_format

FORMAT = 2
"""Format of config.yaml.  Increase it when older versions would misread a file without an error."""


def _named(value: object) -> object:
    value = {"name": value} if isinstance(value, str) else value
    if not (isinstance(value, Mapping) and isinstance(value.get("name"), str)):
        raise ValueError("should be a name or a mapping with a name and options")
    return value


Choice = Annotated[dict[str, Any], BeforeValidator(_named)]
"""A name, or a mapping with a ``name`` and options; stored as a mapping."""


def _guided(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = {"scale": float(value)}
    return {"name": "cfg", **value} if isinstance(value, Mapping) else value


GuidanceChoice = Annotated[Choice, BeforeValidator(_guided)]
"""A choice; a number means classifier-free guidance with that scale, and options without a name belong to cfg."""


def _decay(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value < 1:
            raise ValueError(f"decay of an average must lie in [0, 1), not {value}")
        value = {"decay": float(value)}
    return {"name": "fixed", **value} if isinstance(value, Mapping) else value


AverageChoice = Annotated[Choice, BeforeValidator(_decay)]
"""A choice; a number means the fixed average with that decay."""


MOST_BATCH = 1 << 24
"""Largest batch: the largest published ones have some ten thousand samples, and one of points takes 200 MB."""

MOST_STEPS = 10**12
"""Largest number of training steps: a thousand years at thirty steps a second."""

MOST_CALLS = 100_000
"""Largest number of solver steps: discrete chains have up to some thousand, and the table of a solver grows with it."""

MOST_COPIES = 64
"""Largest number of averages: each is a copy of the weights."""

MOST_THREADS = 4096
"""Largest number of threads and of parts of a batch: more than any machine has cores."""

Auto = Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_THREADS)]
"""A positive integer, or "auto" for the best value in a short trial on the machine
(:mod:`ptdiff.training.autotune`)."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: object, info: ValidationInfo) -> object:
        assert info.field_name is not None
        refuse_other_kind(cls.model_fields[info.field_name].annotation, value)
        return value


class Training(_Section):
    """The training section: optimizer, averages, validation, precision, parallelism and saving."""

    steps: int | None = Field(
        3000, ge=1, le=MOST_STEPS, description="optimizer steps; null if only minutes ends the run"
    )
    minutes: float | None = Field(None, gt=0, description="time limit in minutes; with steps, whichever comes first")
    batch: int = Field(32, ge=1, le=MOST_BATCH, description="samples per step, over all devices")
    optimizer: Choice = Field({"name": "adamw"}, description="optimizer of the weights")
    lr: float = Field(2e-3, gt=0, description="peak learning rate")
    warmup: int = Field(100, ge=0, le=MOST_STEPS, description="steps of linear warm-up, for any schedule")
    schedule: Choice = Field({"name": "cosine"}, description="learning rate schedule after warm-up")
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.99)
    clip: float = Field(1.0, gt=0, description="maximum gradient norm")
    ema: AverageChoice = Field({"name": "fixed", "decay": 0.998}, description="average of the weights; a number: decay")
    averages: list[AverageChoice] = Field([], max_length=MOST_COPIES, description="additional averages of the weights")
    snapshots: int = Field(
        0, ge=0, le=100_000, description="snapshots of the power averages, to compute other widths later"
    )
    validations: int = Field(
        10, ge=0, le=MOST_STEPS, description="number of validations, if there is held-out data; 0: none"
    )
    patience: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="stop after this many validations without improvement"
    )
    min_delta: float = Field(0.0, ge=0, description="minimum decrease that counts as improvement")
    condition_dropout: float = Field(0.1, ge=0, le=1, description="fraction of conditions hidden, for guidance")
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="precision of the network; auto: the faster one here"
    )
    threads: Auto = Field("auto", description="CPU threads; auto: the fastest number here")
    shards: Auto = Field(
        "auto", description="parts of a batch computed in parallel by CPU threads; auto: the fastest number here"
    )
    micro_batch: Annotated[int, Field(ge=1, le=MOST_BATCH)] | Literal["auto"] | None = Field(
        "auto", description="samples processed at a time; auto: as many as fit into memory; null: the whole batch"
    )
    compile: Literal["auto"] | bool = Field("auto", description="compile the network; auto: on a GPU, if it pays off")
    inner_steps: int = Field(10, ge=1, le=100_000, description="optimizer steps inside one Lightning step")
    save_minutes: float = Field(2.0, gt=0, description="minutes between checkpoints")
    preview_minutes: float = Field(2.0, gt=0, description="minutes between preview images")
    order: Literal[1, 2] = Field(
        2, description="order of the samples; 2 needs no memory for them; 1: as in version 0.2, in memory"
    )
    keep: int = Field(2, ge=1, le=100_000, description="number of checkpoints to keep")

    @model_validator(mode="after")
    def _ends(self) -> Training:
        if self.steps is None and self.minutes is None:
            raise ValueError("set steps, minutes or both: without them, the run would never end")
        return self


class Sampling(_Section):
    """The sampling section: defaults for generating samples, which options of a command override."""

    solver: Choice = {"name": "heun"}
    steps: int = Field(20, ge=1, le=MOST_CALLS, description="solver steps")
    spacing: Choice = {"name": "uniform"}
    end: Literal["zero", "sigma-min"] = Field("zero", description="last level: the clean one or the last noisy one")
    guidance: GuidanceChoice = Field({"name": "cfg", "scale": 1.0}, description="guidance; scale 1: none")
    threshold: Choice | None = Field(None, description="limits of the data, in world units")
    precision: Literal["auto", "32", "bf16"] = Field(
        "32", description="precision of the network; auto: the faster one here (sample, eval); changes the last digits"
    )
    noise: Literal["path", "independent"] = Field(
        "path", description="noise of stochastic solvers: one Brownian path for any number of steps, or independent"
    )


class Config(_Section):
    """The complete configuration of a run."""

    modality: str
    options: dict[str, Any] = {}
    backbone: Choice | None = Field(None, description="network of a plugin; null: that of the modality")
    process: Choice = {"name": "flow"}
    prediction: str = "velocity"
    objective: Choice = {"name": "denoise"}
    density: Choice = {"name": "logit-normal"}
    weighting: Choice = {"name": "prediction"}
    loss: Choice = {"name": "l2"}
    noise: Choice = {"name": "gaussian"}
    coupling: Choice = {"name": "independent"}
    seed: int = Field(0, ge=0, lt=2**63)
    training: Training = Training()
    sampling: Sampling = Sampling()

    @property
    def is_flow_map(self) -> bool:
        """True if the network is a flow map, which reads a second level (:mod:`ptdiff.denoiser.target_level`)."""
        return bool(self.objective["name"] == "flow-map")

    def to_yaml(self) -> str:
        """The complete configuration as YAML, with its format number; :func:`read` reads it."""
        return yaml_text({"format": FORMAT, **self.model_dump(mode="json")})


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``over`` into ``base``, section by section; values of ``over`` take precedence.

    A choice with a different name replaces the old choice and its options; options without a name stay with the
    choice that they meet.

    >>> merged({"process": {"sigma_max": 40}}, {"process": "ve"})
    {'process': {'sigma_max': 40, 'name': 've'}}
    >>> merged({"process": {"name": "ve", "sigma_max": 40}}, {"process": "vp"})
    {'process': {'name': 'vp'}}
    """
    result = deepcopy(dict(base))
    for key, value in over.items():
        old = result.get(key)
        # a single name is a choice without options
        if isinstance(old, str) and isinstance(value, Mapping):
            old = {"name": old}
        if isinstance(old, dict) and isinstance(value, str):
            value = {"name": value}
        if isinstance(old, dict) and isinstance(value, Mapping) and _same_choice(old, value):
            result[key] = merged(old, value)
        else:
            result[key] = deepcopy(value)
    return result


def _same_choice(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    # options without a name belong to the name that they meet; sections have no name
    return "name" not in old or new.get("name", old["name"]) == old["name"]


def validate(values: Mapping[str, Any]) -> Config:
    """Build a configuration from plain values.

    Raises UnknownName, with the nearest valid name, for an unknown key, and ValueError, in one line, for a bad value.
    """
    _check_keys(Config, values, "")
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        raise ValueError(f"configuration: {one_line(error)}") from None


def sampling(values: Mapping[str, Any]) -> Sampling:
    """Build a sampling section from plain values; raises the errors of :func:`validate`."""
    _check_keys(Sampling, values, "sampling")
    try:
        return Sampling.model_validate(dict(values))
    except ValidationError as error:
        raise ValueError(f"sampling: {one_line(error)}") from None


def _check_keys(section: type[BaseModel], values: Mapping[str, Any], path: str) -> None:
    for key, value in values.items():
        if key not in section.model_fields:
            raise unknown(f"configuration key{f' in {path}' if path else ''}", str(key), section.model_fields)
        inner = section.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, _Section) and isinstance(value, Mapping):
            _check_keys(inner, value, f"{path}.{key}" if path else key)


def defaults(modality: str) -> dict[str, Any]:
    """The default configuration, without any recipe, file or setting, as plain values."""
    return Config(modality=modality).model_dump(mode="json")


def read(path: Path) -> dict[str, Any]:
    """Read a configuration file as plain values, without its format number.

    Raises OSError, and ValueError if the file is not a YAML mapping (:mod:`ptdiff.documents.yamls`) or has a newer
    format.
    """
    values = read_yaml(path)
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ValueError(f"{path} is not a configuration: it must be a mapping with string keys")
    numbered = "format" in values
    check_format(values.pop("format", 1), FORMAT, str(path))
    return _in_its_order(values) if numbered else values


def read_run(path: Path) -> Config:
    """Read the config.yaml of a run, which holds every setting; raises the errors of :func:`read` and `validate`."""
    return validate(_in_its_order(read(path)))


def _in_its_order(values: dict[str, Any]) -> dict[str, Any]:
    """Give a complete configuration of a version without ``training.order`` the only order that it had."""
    training = values.get("training")
    return {**values, "training": {"order": 1, **training}} if isinstance(training, dict) else values


def settings(pairs: list[str], what: str = "key=value") -> dict[str, Any]:
    """Parse ``section.key=value`` settings into nested values; values are YAML.

    ``what``: the form that an error about a pair without "=" shows.  Raises ValueError for a pair that cannot be read.

    >>> settings(["training.lr=1e-3", "seed=3"])
    {'training': {'lr': 0.001}, 'seed': 3}
    >>> settings(["decimal=,"])
    {'decimal': ','}
    """
    result: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        *path, name = key.strip().split(".")
        if not equals or not all([*path, name]):
            raise ValueError(f"{pair!r} is not of the form {what}")
        inner = result
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ValueError(f"{pair!r}: {part} is already a value, not a section")
        inner[name] = _scalar(text)
    return result


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested values to a mapping with dotted keys.

    >>> flattened({"seed": 3, "process": {"name": "ve", "sigma_max": 80}})
    {'seed': 3, 'process.name': 've', 'process.sigma_max': 80}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _scalar(text: str) -> Any:
    if text == ",":
        return text  # a decimal mark, which YAML wants in quotes
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"{text[:SHOWN]!r} is not a value: {error}") from None
