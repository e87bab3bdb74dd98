"""What is kept of a functional environment's states, and states and pictures of that.

Such an environment's `render` draws any state of it, so that no row needs a replay. Of
a state are kept the arrays that `render` reads, where that is known, else all. They are
named arrays of a row's data, with a checksum. JAX is imported where states are read.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import io
import pickle
import sys
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RenderError
from rollout_viewer._frames.convert import split_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Frame = npt.NDArray[np.uint8]

# Names in a row's data begin with it; the checksum is of an env's other ones.
PREFIX = "state."
CHECKSUM = "state.crc32"
# What is said of an episode whose rows have their states, in place of a start.
STATES = "states"
# Of the memo with which a template is copied.
_VALUES = "rollout_viewer values"
# `render` of a library, by module and name -> what it reads of each state. Another
# that it reads in a later version is none of the kept, and raises.
#
# Source: brax 0.14.2, io/image.py; playground 0.2.0, _src/mjx_env.py, `render_array`.
_READ = {
    ("brax.envs.base", "PipelineEnv.render"): frozenset(
        ["q", "qd", "mocap_pos", "mocap_quat"]
    ),
    ("mujoco_playground._src.mjx_env", "MjxEnv.render"): frozenset(
        f"data.{name}"
        for name in ("qpos", "qvel", "mocap_pos", "mocap_quat", "xfrc_applied")
    ),
}


class Leaf(NamedTuple):
    """The place of an array in a state of one env.

    Attributes:
        name: Keys and attributes that lead to it, with dots.
        shape: Of one env.
        dtype: Its name; of a key of random numbers, that of its implementation.
        is_key: It is one.
        is_jax: It is given to `render` as JAX's array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_key: bool = False
    is_jax: bool = False

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        """Return the array that belongs here."""
        value = memo[_VALUES].get(self.name)
        if value is None:
            if 0 in self.shape:
                return np.zeros(self.shape, self.dtype)
            return NotKept(self.name)
        return self.decode(value)

    def decode(self, stored: Array) -> Any:
        """Return what `render` gets, of what is stored of one env.

        Raises:
            RenderError: It is an array of another kind.
        """
        if self.is_key:
            jax = _jax()

            return jax.random.wrap_key_data(stored, impl=self.dtype)
        dtype = _dtype(self.dtype)
        array = stored
        if dtype.kind not in "biuf" and stored.dtype == np.uint8:
            array = np.ascontiguousarray(stored).reshape(-1).view(dtype)
        if array.size != int(np.prod(self.shape)) or array.dtype != dtype:
            raise RenderError(
                f"FrameCache.render: expected an environment whose states have "
                f"{self.name!r} of shape {self.shape}, {self.dtype}, got a recording "
                f"of shape {stored.shape}, {stored.dtype}. Have make_env make the "
                "environment that was recorded."
            )
        array = array.reshape(self.shape)
        if not self.is_jax:
            return array
        return _jax().numpy.asarray(array)


def encoded(array: Array) -> Array:
    """Return an array of a state as it is stored: numbers, of bfloat16 their bytes."""
    if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
        return np.ascontiguousarray(array)
    size = array.dtype.itemsize
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).reshape(*array.shape, size)


class NotKept:
    """Takes the place of an array that was not kept: whoever reads it is refused."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise RenderError(
            f"FrameCache.render: expected render() to read what is kept of a state, "
            f"got a look at {self._name!r}, which is not. Record with another version "
            "of the environment's library, or append its pictures yourself."
        )

    __array__ = __bool__ = __float__ = __getitem__ = __int__ = _refuse
    __iter__ = __jax_array__ = __len__ = _refuse


def _dtype(name: str) -> np.dtype[Any]:
    try:
        return np.dtype(name)
    except TypeError:
        # JAX's own
        found: np.dtype[Any] = np.dtype(
            getattr(importlib.import_module("ml_dtypes"), name)
        )
        return found


def part_of(state: Any) -> Any:
    """Return what `render` takes a list of: states, or of Brax's their pipeline's."""
    within = getattr(state, "pipeline_state", None)
    return state if within is None else within


def _jax() -> Any:
    """Import JAX, which has states: never before there are some."""
    return importlib.import_module("jax")


def field(state: Any, name: str) -> Any:
    """Return a field of a state; None: it has none."""
    if isinstance(state, Mapping):
        return state.get(name)
    return getattr(state, name, None)


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return the arrays of a tree, by the keys and attributes that lead to them."""
    jax = _jax()

    found, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_name_of(path): leaf for path, leaf in found}


def _name_of(path: Any) -> str:
    keys = (
        getattr(one, "name", getattr(one, "key", getattr(one, "idx", one)))
        for one in path
    )
    return ".".join(str(key) for key in keys)


def names_read(env: Any) -> frozenset[str] | None:
    """Return which arrays of a state an environment's `render` reads.

    None: that is not known. It is, of the libraries' own.
    """
    render = env.render
    for _ in range(100):  # wrappers and partial functions
        if isinstance(render, functools.partial):
            render = render.func
            continue
        name = getattr(render, "__qualname__", "")
        within = getattr(getattr(render, "__self__", None), "env", None)
        if name != "Wrapper.render" or within is None:
            break
        render = within.render
    return _READ.get((getattr(render, "__module__", ""), name))


def kept_leaves(state: Any, read: frozenset[str] | None) -> dict[str, Any]:
    """Return the arrays that are kept of a state, or of states in one, by name.

    Args:
        state: Of the environment; its arrays may have more axes in front.
        read: Of `names_read`.
    """
    return {
        name: _plain(leaf)
        for name, leaf in named_leaves(part_of(state)).items()
        if (read is None or name in read) and 0 not in np.shape(leaf)
    }


def size_of_kept(state: Any, read: frozenset[str] | None) -> int:
    """Return how many bytes are kept of a state of one env; see `template_of`."""
    lead = np.shape(field(state, "reward"))
    total = 0
    for leaf in kept_leaves(state, read).values():
        shape = np.shape(leaf)
        if shape[: len(lead)] == lead:
            shape = shape[len(lead) :]
        dtype = np.dtype(getattr(leaf, "dtype", np.int64))
        total += int(np.prod(shape)) * dtype.itemsize
    return total


def _plain(leaf: Any) -> Any:
    """Return the numbers of a key; any other array as it is."""
    jax = _jax()

    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _is_key(leaf: Any) -> bool:
    jax = _jax()

    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(
        leaf.dtype, jax.dtypes.prng_key
    )


def template_of(state: Any, read: frozenset[str] | None) -> Any:
    """Return what `render` takes of one state, with a `Leaf` in place of each array.

    Args:
        state: One, or shapes and dtypes of one; or of many, whose rewards have the
            same axes in front.
        read: Of `names_read`.
    """
    jax = _jax()

    lead = np.shape(field(state, "reward"))

    def leaf(path: Any, value: Any) -> Leaf:
        is_key = _is_key(value)
        if is_key:
            dtype = str(jax.random.key_impl(value))
        else:
            dtype = getattr(value, "dtype", np.asarray(value).dtype).name
        shape = np.shape(value)
        # Without the envs, where all have the same one.
        shape = shape[len(lead) - (shape[: len(lead)] != lead) :]
        return Leaf(_name_of(path), shape, dtype, is_key, read is None)

    return jax.tree_util.tree_map_with_path(leaf, part_of(state))


def leaves_of_template(template: Any) -> dict[str, Leaf]:
    """Return the places of a template, by name."""
    jax = _jax()

    found = jax.tree_util.tree_leaves(template, is_leaf=lambda x: isinstance(x, Leaf))
    return {one.name: one for one in found}


def checksums(leaves: Mapping[str, Array]) -> npt.NDArray[np.uint32]:
    """Return a checksum for each state, (n, P), of arrays (n, P, ...)."""
    if not leaves:
        return np.zeros((0, 0), np.uint32)
    arrays = [np.ascontiguousarray(leaves[name]) for name in sorted(leaves)]
    n, p = arrays[0].shape[:2]
    whole = np.concatenate(
        [one.reshape(n, p, -1).view(np.uint8) for one in arrays], axis=2
    )
    flat = whole.reshape(n * p, -1)
    return np.array([zlib.crc32(one.data) for one in flat], np.uint32).reshape(n, p)


def checksum_of(values: Mapping[str, Array]) -> int:
    """Return the checksum of one state, of its arrays by name."""
    crc = 0
    for name in sorted(values):
        crc = zlib.crc32(np.ascontiguousarray(values[name]).reshape(-1).data, crc)
    return crc


def state_values(data: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of a state that are in a row's data of one env."""
    return {
        name.removeprefix(PREFIX): values
        for name, values in data.items()
        if name.startswith(PREFIX) and name != CHECKSUM
    }


def pictures_of(
    env: Any,
    template: Any,
    states: list[dict[str, Array]],
    options: Mapping[str, Any] | None = None,
) -> list[Frame]:
    """Return what an environment renders of states, a picture for each.

    Args:
        env: Has `render`, of a list of states.
        template: Of `template_of`.
        states: What was kept of each.
        options: Keyword arguments of `render`.

    Raises:
        RenderError: It raises, or gives no pictures.
    """
    name = type(getattr(env, "unwrapped", env)).__name__
    try:
        memos: list[dict[Any, Any]] = [{_VALUES: one} for one in states]
        whole = [copy.deepcopy(template, memo) for memo in memos]
        with _without_bar(env):
            rendered = env.render(whole, **(options or {}))
        if len(rendered) != len(states):
            raise RenderError(
                f"record: expected {len(states)} pictures from {name}.render() of a "
                f"list of so many states, got {len(rendered)} pictures."
            )
        return [one for picture in rendered for one in _one_frame(picture)]
    except (MemoryError, RenderError):
        raise
    except Exception as error:
        raise RenderError(
            f"record: expected {len(states)} pictures from {name}.render() of a list "
            f"of so many states, got {error!r:.300}."
        ) from error


def pictures_or_errors(
    env: Any,
    template: Any,
    states: list[dict[str, Array]],
    options: Mapping[str, Any] | None = None,
) -> list[Frame | RenderError]:
    """Return the same, and an error for each state that `render` refuses.

    Raises:
        RenderError: It refuses all, or gives other than pictures.
    """
    try:
        return [*pictures_of(env, template, states, options)]
    except RenderError as error:
        # Without a cause it is not of one state.
        if len(states) == 1 or error.__cause__ is None:
            raise
        first = error
    found: list[Frame | RenderError] = []
    for one in states:
        try:
            found += pictures_of(env, template, [one], options)
        except RenderError as error:
            found.append(error)
    if all(isinstance(one, RenderError) for one in found):
        raise first
    return found


def _one_frame(picture: Any) -> Iterator[Frame]:
    is_last = np.ndim(picture) >= 3 and np.shape(picture)[-1] == 3
    frames = split_frames([np.asarray(picture)], channels="last" if is_last else "auto")
    if frames[0] is None:
        raise ValueError("None for a picture")
    yield frames[0]


@contextlib.contextmanager
def _without_bar(env: Any) -> Iterator[None]:
    """Hide the progress bar that Playground's `render` writes for each call."""
    kinds = type(getattr(env, "unwrapped", env)).__mro__
    if any(kind.__module__.startswith("mujoco_playground") for kind in kinds):
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    else:
        yield


class KeptEnv:
    """An environment of this process, as bytes, to render its states in others.

    Attributes:
        template: Of its states, once one is known.
    """

    def __init__(self, env: Any) -> None:
        import cloudpickle  # type: ignore[import-untyped]  # it has no types

        self._bytes = cloudpickle.dumps(env)
        self.template: Any = None

    def __call__(self) -> RenderedStates:
        """Return the environment, anew; sets whether JAX has 64 bits."""
        if self.template is not None:
            leaves = leaves_of_template(self.template).values()
            _use_64_bits(any(_has_64_bits(one.dtype) for one in leaves))
        return RenderedStates(pickle.loads(self._bytes), self.template)


class RenderedStates:
    """An environment that renders states of a recording.

    Args:
        env: It.
        template: Of `template_of`; None: of a state that it is asked for.
        options: Keyword arguments of `render`.
        make: Makes the environment anew, where states have other bits than JAX has.
    """

    def __init__(
        self,
        env: Any,
        template: Any = None,
        options: Mapping[str, Any] | None = None,
        make: Callable[[], Any] | None = None,
    ) -> None:
        self.env = env
        self._make = make
        self._template = _template_by_reset(env) if template is None else template
        self.options = dict(options or {})
        # Others may change what a renderer draws, beside the states.
        is_known = names_read(env) is not None
        self._renderers = _KeptRenderers() if is_known else contextlib.nullcontext()

    @property
    def unwrapped(self) -> RenderedStates:
        """This, as of an environment without wrappers."""
        return self

    def pictures(self, states: list[dict[str, Array]]) -> list[Frame | RenderError]:
        """Return a picture of each state, of `state_values`; see above."""
        if self._make is not None:
            found = (one.dtype.name for state in states for one in state.values())
            if _use_64_bits(any(map(_has_64_bits, found))):
                self.env = self._make()
                self._template = _template_by_reset(self.env)
        with self._renderers:
            return pictures_or_errors(self.env, self._template, states, self.options)

    def close(self) -> None:
        """Do nothing: a functional environment has nothing to close."""


class _KeptRenderers(contextlib.AbstractContextManager[None]):
    """Lets MuJoCo's renderers be made once: the libraries make one for each call.

    That takes much longer than a picture. Only in a process where no one else renders.
    """

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, Any]] = {}
        self._original: Any = None

    def __enter__(self) -> None:
        mujoco: Any = importlib.import_module("mujoco")
        original: Any = mujoco.Renderer
        self._original, known = original, self._known

        class Kept(original):  # type: ignore[misc]  # it is not known before
            def close(self) -> None:
                """Stay open for the next call."""

        def made(model: Any, height: int = 240, width: int = 320, **more: Any) -> Any:
            key = id(model), height, width, str(sorted(more.items()))
            if key not in known:
                # With its model, whose number is no other's as long as it is here.
                known[key] = Kept(model, height=height, width=width, **more), model
            return known[key][0]

        mujoco.Renderer = made

    def __exit__(self, *_: object) -> None:
        mujoco: Any = importlib.import_module("mujoco")
        mujoco.Renderer = self._original


def _template_by_reset(env: Any) -> Any:
    """Return a template of an environment's states, of which none is there."""
    jax = _jax()

    key = jax.random.PRNGKey(0)
    try:
        state = jax.eval_shape(env.reset, key)
    except Exception:  # a batch that takes a key for each
        state = jax.eval_shape(env.reset, key[None])
    return template_of(state, names_read(env))


def make_states_env(
    function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> RenderedStates:
    """Return what renders the states of a recording.

    Args:
        function: `KeptEnv`, or returns a functional environment.
        arguments: Of it.
        options: Of `Recipe`.

    Raises:
        TypeError: It returns none.
    """
    made = function(*arguments)
    if not isinstance(made, RenderedStates):
        if not callable(getattr(made, "render", None)):
            raise TypeError(f"{type(made).__name__} without render(states)")
        made = RenderedStates(made, make=lambda: function(*arguments))
    known = dict(options)
    if "camera_name" in known:
        known["camera"] = known.pop("camera_name")
    made.options = known
    return made


def _has_64_bits(name: str) -> bool:
    return name in ("int64", "uint64", "float64", "complex128")


def _use_64_bits(is_wanted: bool) -> bool:
    """Set whether JAX has them, in a process that only draws; return if it changed."""
    config = _jax().config
    if bool(config.jax_enable_x64) == is_wanted:
        return False
    config.update("jax_enable_x64", is_wanted)
    return True


def use_cpu() -> None:
    """Have JAX, if it is not imported yet, leave accelerators to other processes.

    It would take most of their memory from the one that trains.
    """
    import os

    if "jax" not in sys.modules:
        os.environ["JAX_PLATFORMS"] = "cpu"
