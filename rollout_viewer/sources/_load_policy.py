"""Policies from the command line: ``sb3:ppo.zip``, ``torchscript:f.pt``, a function.

A file is never unpickled unless the user allows it: unpickling runs whatever program is
in the file. Knows the formats. Knows nothing of recordings.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RolloutViewerError, requires

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = "sb3:FILE, torchscript:FILE, module:callable or random"

# What only one algorithm of Stable-Baselines3 keeps in its file, in this order.
_KNOWN_BY = (
    ("clip_range", "PPO"),
    ("exploration_fraction", "DQN"),
    ("policy_delay", "TD3"),
    ("target_entropy", "SAC"),
    ("gae_lambda", "A2C"),
)


def load_policy(
    spec: str,
    checkpoint: Path | None = None,
    *,
    allow_pickle: bool = False,
    action_space: Any = None,
) -> Any:
    """Return the policy that a text names, as `rollout` takes it.

    Args:
        spec: ``"random"``; ``"sb3:FILE"``, a model of Stable-Baselines3;
            ``"torchscript:FILE"``, a module of observations; ``"module:callable"``, a
            function of an observation. With `checkpoint`, ``sb3`` and ``torchscript``
            alone name its format, and the callable gets what `torch.load` returns and
            returns the policy.
        checkpoint: A file.
        allow_pickle: Files that hold pickled objects may be loaded.
        action_space: Of the environment: where it is discrete, a module's scores of
            the actions become the action with the highest one.

    Raises:
        RolloutViewerError: The text names nothing that can be loaded, or the file holds
            pickled objects that are not allowed.
        MissingDependencyError: A library is missing.
    """
    kind, _, name = spec.partition(":")
    if spec == "random" and checkpoint is None:
        return None
    if kind in ("sb3", "torchscript"):
        path = _file(spec, name, checkpoint)
        if kind == "sb3":
            return _sb3_model(path, allow_pickle=allow_pickle)
        # Discrete, and MultiDiscrete of a vector env of them
        is_discrete = "Discrete" in type(action_space).__name__
        return _TorchScriptPolicy(path, is_discrete=is_discrete)
    if not kind or not name or kind == "random":
        raise RolloutViewerError(
            f"record: expected --policy to be {KINDS}, got {spec!r}"
            + (" with --checkpoint." if checkpoint else ".")
        )
    function = import_callable("--policy", spec)
    if checkpoint is None:
        return function
    return function(_loaded(checkpoint, allow_pickle=allow_pickle))


def import_callable(option: str, spec: str) -> Callable[..., Any]:
    """Return the callable that ``"module:name"`` names, of the working directory too.

    Raises:
        RolloutViewerError: There is none.
    """
    module_name, _, name = spec.partition(":")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise RolloutViewerError(
            f"record: expected {option} to name something to import, as module:name, "
            f"got {spec!r} ({error})."
        ) from error
    if not callable(found):
        raise RolloutViewerError(
            f"record: expected {option} to name a function, got {spec!r}, which is a "
            f"{type(found).__name__}."
        )
    function: Callable[..., Any] = found
    return function


def _file(spec: str, name: str, checkpoint: Path | None) -> Path:
    if bool(name) == (checkpoint is not None):
        raise RolloutViewerError(
            f"record: expected one file for --policy {spec}, in it or as --checkpoint, "
            f"got {'both' if name else 'none'}."
        )
    path = checkpoint or Path(name)
    if not path.is_file():
        raise RolloutViewerError(
            f"record: expected --policy {spec} to name a file, got {str(path)!r}, "
            "which is none."
        )
    return path


# -- Stable-Baselines3


def _sb3_model(path: Path, *, allow_pickle: bool) -> Any:
    if not allow_pickle:
        raise RolloutViewerError(
            f"record: expected --allow-pickle for the model {str(path)!r}: files of "
            "Stable-Baselines3 hold pickled objects, and unpickling runs whatever "
            "program is in the file. Add it if you trust where the file is from."
        )
    name = _algorithm(path)
    with requires("record --policy sb3", "sb3", "stable_baselines3"):
        import stable_baselines3

        return getattr(stable_baselines3, name).load(path, device="cpu")


def _algorithm(path: Path) -> str:
    """Return the class of a model, by what it keeps: its name is not in the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise RolloutViewerError(
            f"record: expected {str(path)!r} to be a model that Stable-Baselines3 "
            f"saved, got another file ({error})."
        ) from error
    found = [name for key, name in _KNOWN_BY if key in data]
    if not found:
        raise RolloutViewerError(
            f"record: expected {str(path)!r} to be a model of "
            f"{', '.join(name for _, name in _KNOWN_BY)}, got another. Write a "
            "function that loads it, and pass --policy module:callable."
        )
    return found[0]


# -- torch


class _TorchScriptPolicy:
    """A module of float32 observations, called without gradients.

    Another process loads it anew: no pickle holds such a module.
    """

    def __init__(self, path: Path, *, is_discrete: bool) -> None:
        self._path = path.absolute()
        self._module = _torchscript(path)
        self._is_discrete = is_discrete

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(_TorchScriptPolicy, is_discrete=self._is_discrete)
        return make, (self._path,)

    def __call__(self, observation: Any) -> Any:
        import torch

        with torch.no_grad():
            result = self._module(torch.as_tensor(observation, dtype=torch.float32))
        if self._is_discrete and result.is_floating_point():
            result = result.argmax(-1)
        return result.numpy()


def _torchscript(path: Path) -> Any:
    with requires("record --policy torchscript", "torch"):
        import torch
    try:
        # TorchScript has a reader of its own: no Python object is made by it.
        load: Any = torch.jit.load
        with warnings.catch_warnings():
            # That torch.export is to be used instead: advice to who wrote the file.
            warnings.simplefilter("ignore", DeprecationWarning)
            return load(str(path), map_location="cpu")
    except RuntimeError as error:
        raise RolloutViewerError(
            f"record: expected {str(path)!r} to be a module that torch.jit.save wrote, "
            f"got another file ({str(error).splitlines()[0]:.200})."
        ) from error


def _loaded(path: Path, *, allow_pickle: bool) -> Any:
    if not path.is_file():
        raise RolloutViewerError(
            "record: expected --checkpoint to be a file that torch.save wrote, got "
            f"{str(path)!r}, which is no file. Check the path."
        )
    with requires("record --checkpoint", "torch"):
        import torch
    try:
        return torch.load(path, map_location="cpu", weights_only=not allow_pickle)
    except Exception as error:
        if allow_pickle or isinstance(error, OSError):
            raise
        raise RolloutViewerError(
            f"record: expected tensors alone in {str(path)!r}, got something that has "
            f"to be unpickled, which runs whatever program is in the file "
            f"({str(error).splitlines()[0]:.200}). Add --allow-pickle if you trust "
            "where it is from."
        ) from error
