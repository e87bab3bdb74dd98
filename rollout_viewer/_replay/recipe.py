"""How the environments of a recording are made again.

By Gymnasium's specification of each, or by a function of the user's. What is stored in
a file is data: an environment is made of it only where the user asks for that.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import UnsupportedEnvError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_VERSION = 1
# A specification of Gymnasium is of one environment; or of all envs at once, of which
# each is a `ColumnEnv`; or it is the text of dm_control's `suite_text`. Of functional
# environments the states of rows are kept.
NATIVE, DM_CONTROL, FUNCTIONAL = "native", "dm_control", "functional"
KINDS = ("", NATIVE, DM_CONTROL, FUNCTIONAL)
# With which environments may be made to render, as MuJoCo's name them.
OPTIONS = ("width", "height", "camera_name")
# More is no frame skip that anyone uses.
_MAX_REPEATS = 1000
WAYS_OUT = (
    "Pass make_env=, a function that returns the same environment anew, or record "
    "with render='now'."
)
# Wrappers that only look on: a replay is not recorded once more.
_ONLOOKING_MODULES = ("rollout_viewer.", "stable_baselines3.common.monitor:")
_ONLOOKERS = ("RecordVideo", "HumanRendering", "RenderCollection")


@dataclass(frozen=True)
class Recipe:
    """How the environments of a recorder are made again.

    Attributes:
        specs: Gymnasium's `EnvSpec` of each env, or one for all of them; its JSON where
            it was read from a file; None where there is none.
        make_env: Of the user's; called with the env's number if it takes an argument.
        why_no_json: Why a specification can not be stored; "" where all can.
        envs: Whose pictures are wanted; None: all.
        crop: Of the pictures, as `record` takes it.
        resize: (height, width) of the pictures after that.
        library: The version of the library that made the environments.
        is_probed: What Gymnasium's environment returned is compared, not what the
            library above it made of that.
        num_repeats: How often an action is repeated, until an end.
        kind: Of `KINDS`: how it is made of a specification.
    """

    specs: tuple[Any, ...] = (None,)
    make_env: Callable[..., Any] | None = None
    why_no_json: str = ""
    envs: Sequence[int] | None = None
    crop: Sequence[int] | None = None
    resize: Sequence[int] | None = None
    library: str = ""
    is_probed: bool = False
    num_repeats: int = 1
    kind: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what is stored in a file."""
        return {
            "version": _VERSION,
            "specs": [_spec_json(spec)[0] for spec in self.specs],
            "envs": None if self.envs is None else list(self.envs),
            "crop": None if self.crop is None else list(self.crop),
            "resize": None if self.resize is None else list(self.resize),
            "library": self.library,
            "is_probed": self.is_probed,
            "num_repeats": self.num_repeats,
            **({"kind": self.kind} if self.kind else {}),
        }

    def spec_of(self, env: int) -> Any:
        """Return an env's specification: an object, JSON, or None."""
        return self.specs[env] if env < len(self.specs) else self.specs[0]


def read_recipes(value: Any) -> list[Recipe]:
    """Return the recipes that a file has; those of newer versions make nothing."""
    return [
        Recipe(
            tuple(one["specs"]),
            envs=one["envs"],
            crop=one["crop"],
            resize=one["resize"],
            library=one["library"],
            is_probed=one.get("is_probed", False),
            num_repeats=one.get("num_repeats", 1),
            kind=one.get("kind", ""),
        )
        if is_recipe(one)
        else Recipe()
        for one in (value if isinstance(value, list) else [])
    ]


def is_recipe(value: Any) -> bool:
    """Return whether a value of a file is a recipe of this version."""
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        return False
    specs = value.get("specs")
    return (
        isinstance(specs, list)
        and bool(specs)
        and all(spec is None or isinstance(spec, str) for spec in specs)
        and _is_numbers(value.get("envs"))
        and _is_numbers(value.get("crop"))
        and _is_numbers(value.get("resize"))
        and isinstance(value.get("library"), str)
        and isinstance(value.get("is_probed", False), bool)
        and value.get("kind", "") in KINDS
        and type(value.get("num_repeats", 1)) is int
        and 1 <= value.get("num_repeats", 1) <= _MAX_REPEATS
    )


def _is_numbers(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)
    )


def recipe_of(specs: Sequence[Any], library: str) -> Recipe:
    """Return how environments of these specifications are made again.

    Args:
        specs: Gymnasium's `EnvSpec` of each env.
        library: Its version.

    Raises:
        UnsupportedEnvError: One cannot be made again.
    """
    replayed = [_without_onlookers(spec) for spec in specs]
    for spec in replayed:
        if problem := _problem(spec):
            raise UnsupportedEnvError(
                "record: expected an environment that can be made again, for "
                f"render='later', got {problem}. {WAYS_OUT}"
            )
    if all(spec == replayed[0] for spec in replayed):
        replayed = replayed[:1]
    why = next((why for one in replayed if (why := _spec_json(one)[1])), "")
    return Recipe(tuple(replayed), why_no_json=why, library=library)


def recipe_of_function(make_env: Any) -> Recipe:
    """Return how environments that a function of the user's returns are made.

    Raises:
        TypeError: It is no function.
    """
    if not callable(make_env):
        raise TypeError(
            "record: expected make_env to be a function that returns an environment, "
            f"got {type(make_env).__name__}."
        )
    return Recipe(make_env=make_env)


def takes_env(make_env: Callable[..., Any]) -> bool:
    """Return whether a function takes the env's number."""
    try:
        parameters = inspect.signature(make_env).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        one.default is one.empty
        and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        and one.name not in OPTIONS
        for one in parameters
    )


def taken_options(
    make_env: Callable[..., Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return those of some `OPTIONS` that a function takes."""
    try:
        known = inspect.signature(make_env).parameters
    except (TypeError, ValueError):
        return {}
    takes_all = any(one.kind is one.VAR_KEYWORD for one in known.values())
    return {k: v for k, v in options.items() if takes_all or k in known}


def _problem(spec: Any) -> str:
    """Return why an environment cannot be made again; "": it can."""
    if spec is None:
        return "one without a specification (gymnasium.make did not make it)"
    if spec.entry_point is None:
        return f"{spec.id!r}, whose specification has no entry point"
    if spec.nondeterministic:
        return f"{spec.id!r}, which its author declares as non-deterministic"
    for wrapper in spec.additional_wrappers:
        if wrapper.kwargs is None:
            return (
                f"the wrapper {wrapper.name}, which does not keep the arguments of its "
                "constructor (gymnasium.utils.RecordConstructorArgs)"
            )
    return ""


def _without_onlookers(spec: Any) -> Any:
    """Return a specification without wrappers that record or show."""
    if spec is None:
        return None
    kept = tuple(
        one
        for one in spec.additional_wrappers
        if not (
            one.entry_point.startswith(_ONLOOKING_MODULES) or one.name in _ONLOOKERS
        )
    )
    if len(kept) == len(spec.additional_wrappers):
        return spec
    import copy

    replayed = copy.copy(spec)
    replayed.additional_wrappers = kept
    return replayed


def _spec_json(spec: Any) -> tuple[str | None, str]:
    """Return the JSON of a specification, or None and why there is none."""
    if spec is None or isinstance(spec, str):
        return spec, ""
    try:
        text: str = spec.to_json()
    except (TypeError, ValueError) as error:
        return None, str(error)
    return text, ""


def maker_of(
    recipe: Recipe, env: int, options: Mapping[str, Any]
) -> tuple[str, Any, dict[str, Any]]:
    """Return how a worker makes an env: a kind, what it needs, keyword arguments.

    Raises:
        UnsupportedEnvError: It cannot be made.
    """
    found: tuple[str, Any, dict[str, Any]]
    import cloudpickle  # type: ignore[import-untyped]  # it has no types

    if recipe.make_env is not None:
        arguments = (env,) if takes_env(recipe.make_env) else ()
        if recipe.kind == FUNCTIONAL:
            # The options are of the pictures.
            what = cloudpickle.dumps((recipe.make_env, arguments))
            return FUNCTIONAL, what, dict(options)
        taken = taken_options(recipe.make_env, options)
        return "function", cloudpickle.dumps((recipe.make_env, arguments)), taken
    spec = recipe.spec_of(env)
    if spec is None:
        raise UnsupportedEnvError(
            "FrameCache.render: expected a recording that says how its environment is "
            "made, got one without. Pass make_env=, a function that returns the same "
            "environment anew."
        )
    if isinstance(spec, str):
        found = "json", spec, dict(options)
    else:
        found = "spec", cloudpickle.dumps(spec), dict(options)
    if recipe.kind == NATIVE:
        return NATIVE, (*found[:2], env), found[2]
    return (DM_CONTROL, spec, found[2]) if recipe.kind == DM_CONTROL else found
