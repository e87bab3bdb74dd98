"""What steps return as their info, as data of rows: ``data["info.<key>"]``.

Numbers, truth values, short texts and small arrays; of dicts within, ``<key>.<inner>``.
What no row can hold is left out, with one warning: it never ends a run. Values of calls
without a row wait for the next one; the newest counts.

Knows arrays and dicts as environments return them. Knows no framework.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rollout_viewer._errors import warn_once
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer._recorder.success import SUCCESS_KEYS
from rollout_viewer._recording.info_types import BOOL, INFO_TYPES, NUMBER, PREFIX
from rollout_viewer._recording.many_buffer import ManyForm, NumberForm
from rollout_viewer._recording.step_buffer import InfoForm
from rollout_viewer._recording.storable import storable_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Mask

    Array = npt.NDArray[Any]

# Of one row and env: what is larger is an observation or a picture.
MAX_BYTES = 4096
_MAX_CHARS = 1024
# Texts that are all different are a log, not labels.
_MAX_TEXTS = 256
_MAX_DEPTH = 4
_NUMBERS = frozenset([float, int, np.float64, np.float32, np.int64, np.int32, np.uint8])
_BOOLS = frozenset([bool, np.bool_])
_KINDS = {NUMBER: _NUMBERS, BOOL: _BOOLS}
_DTYPES = {NUMBER: "iuf", BOOL: "b"}
_FLOAT64, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)
# Among the bytes of bools: finding it is faster than `np.all`.
_FALSE = 0
# Recorded otherwise: as observations, as ends, or in a row of its own.
_KNOWN_ELSEWHERE = frozenset(
    [
        "final_obs",
        "final_observation",
        "final_info",
        "terminal_observation",
        "time_outs",
        "TimeLimit.truncated",
    ]
)


def checked_names(info: Any) -> bool | frozenset[str]:
    """Return `info` as a recorder takes it: all, nothing, or some keys.

    Raises:
        TypeError: It is neither a bool nor names.
    """
    if isinstance(info, bool):
        return info
    names = [info] if isinstance(info, str) else info
    if isinstance(names, Iterable):
        found = list(names)
        if all(isinstance(name, str) for name in found):
            return frozenset(found)
    raise TypeError(
        f"record: expected info to be True, False or names of its keys, got {info!r}."
    )


class _Column:
    """The values of a key since the last row, (B, ...), NaN where there are none."""

    __slots__ = ("blank", "is_set", "kind", "name", "shape", "values")

    def __init__(self, name: str, kind: str, shape: tuple[int, ...], n: int) -> None:
        self.name, self.kind, self.shape = name, kind, shape
        self.blank = np.full((n, *shape), np.nan)
        self.values = self.blank.copy()
        self.is_set = False

    @property
    def nbytes(self) -> int:
        """Of one env."""
        return int(self.values[0].nbytes)


class KeepsMeta(Protocol):
    """A cache, or what encodes rows for one elsewhere."""

    def get_meta(self, key: str, default: Any = None) -> Any: ...

    def set_meta(self, key: str, value: Any) -> None: ...


class StepInfo:
    """The info of the calls since the last row of each env.

    Args:
        num_envs: B.
        names: Which keys; see `checked_names`. A key's name includes all within it.
        cache: Where the texts of labels are kept.
    """

    def __init__(
        self, num_envs: int, names: bool | frozenset[str], cache: KeepsMeta
    ) -> None:
        self._num_envs = num_envs
        self._names = names
        self._cache = cache
        self._columns: dict[str, _Column] = {}
        self._refused: set[str] = set()
        self._number_of: dict[str, dict[str, int]] = {}
        self.is_pending = False
        # Name of a number in a row -> room for the one of a single env.
        self._rooms: dict[str, Array] = {}

    def add(self, info: Any, envs: Mask) -> None:
        """Note the info of a call; of one key, the newest value counts.

        Args:
            info: One dict for each env, or one of them all, as of Gymnasium's vector
                environments: arrays (B, ...), with which envs have it in ``_<key>``.
            envs: (B,): whose it is.
        """
        if self._names is False:
            return
        try:
            if type(info) is not list and isinstance(info, Mapping):
                self._add_batch(info, envs, "", _MAX_DEPTH)
            elif self._num_envs == 1:  # in half the time
                if envs[0] and info[0]:
                    self._add_one(info[0], 0, "", _MAX_DEPTH)
            else:
                for env in np.flatnonzero(envs).tolist():
                    if one := info[env]:
                        self._add_one(one, env, "", _MAX_DEPTH)
        except MemoryError:
            raise
        except Exception as error:
            warn_once(
                f"record: expected info to be a dict for each env, got {error!r}; what "
                "cannot be read is not recorded."
            )

    def at_once(self, info: Any) -> Mapping[str, Array] | None:
        """Return the data of a row that is one call, where nothing waits for a row.

        None: it is not simple; `add` and `seen` do it then. What is returned may be the
        caller's, and is valid until the next call.

        Args:
            info: One dict for each env, or one of them all; see `add`.
        """
        if self._names is False:
            return {}
        if type(info) is not list and isinstance(info, Mapping):
            return self._arrays(info) if info else None if self.is_pending else {}
        if self._num_envs != 1:
            return self._gathered(info)
        found = self.numbers(info[0] or {})
        if found is None:
            return None
        rooms, data = self._rooms, {}
        for name, value in found.items():
            if (room := rooms.get(name)) is None:
                room = rooms[name] = np.empty(1)
            room[0] = value
            data[name] = room
        return data

    def _arrays(self, info: Mapping[Any, Any]) -> dict[str, Array] | None:
        """Return what `at_once` does of one dict for all envs."""
        found: dict[str, Array] = {}
        if self.is_pending:
            return None
        columns, num_envs = self._columns, self._num_envs
        for key, value in info.items():
            if (column := columns.get(key)) is None:
                if key in self._refused or key in _KNOWN_ELSEWHERE:
                    continue
                if type(key) is str and key[:1] == "_" and key[1:] in info:
                    continue  # which envs have it
                return None
            if (
                type(value) is not np.ndarray
                or value.dtype.kind not in _DTYPES.get(column.kind, "")
                or value.shape != (num_envs, *column.shape)
            ):
                return None
            has_it = info.get("_" + key)
            if has_it is not None and not (
                type(has_it) is np.ndarray
                and has_it.dtype == _BOOL
                and has_it.shape == value.shape[:1]
                and _FALSE not in has_it.tobytes()
            ):
                return None
            found[column.name] = value.astype(_FLOAT64, copy=False)
        return found

    def _gathered(self, infos: Sequence[Any]) -> dict[str, Array] | None:
        """Return what `at_once` does of a dict for each of many envs."""
        if self.is_pending or len(infos) != self._num_envs:
            return None
        found: dict[str, Array] = {}
        for env, info in enumerate(infos):
            if not info or _KNOWN_ELSEWHERE.issuperset(info):
                continue
            numbers = self.numbers(info)
            if numbers is None:
                return None
            for name, number in numbers.items():
                if (values := found.get(name)) is None:
                    values = found[name] = np.full(self._num_envs, np.nan)
                values[env] = number
        return found

    def numbers(self, info: Mapping[Any, Any]) -> dict[str, float] | None:
        """Return what `at_once` does for a single env, as numbers: without arrays.

        None: it is not simple, or something waits for a row.
        """
        found: dict[str, float] = {}
        if self._names is False:
            return found
        if self.is_pending:
            return None
        columns = self._columns
        for key, value in info.items():
            column = columns.get(key)
            if column is None:
                if key in self._refused or key in _KNOWN_ELSEWHERE:
                    continue
                return None
            kinds = _KINDS.get(column.kind)
            if column.shape or kinds is None or type(value) not in kinds:
                return None
            found[column.name] = float(value)
        return found

    def form_of(self, info: Mapping[Any, Any]) -> InfoForm:
        """Return the form of an info whose numbers are those of a row."""
        if self._names is False:
            return InfoForm(None, others=SUCCESS_KEYS)
        columns = self._columns
        keys = tuple(key for key in info if key in columns)
        return InfoForm(
            keys,
            tuple(columns[key].name for key in keys),
            tuple(type(info[key]) for key in keys),
            info.keys() - keys,
        )

    def form_of_many(self, info: Any) -> ManyForm | None:
        """Return the form of an info of many envs, whose numbers are those of a row.

        None: calls are not looked at that have one like it.
        """
        if self._names is False:
            return ManyForm(None, SUCCESS_KEYS)
        if info and type(info) is not dict:
            return None
        found, columns = [], self._columns
        for key, value in (info or {}).items():
            if (column := columns.get(key)) is not None:
                mask = f"_{key}" if f"_{key}" in info else None
                found.append(
                    NumberForm(key, mask, column.name, value.dtype, value.shape)
                )
        known = {one.key for one in found}
        return ManyForm(tuple(found), [key for key in info or () if key not in known])

    def seen(self, envs: Mask) -> dict[str, Array]:
        """Return data of a row that is of `envs`; valid until the next call."""
        found = {}
        is_all = _FALSE not in envs.tobytes()
        for column in self._columns.values():
            if not column.is_set:
                continue
            values = column.values
            if not is_all:
                values = column.blank.copy()
                values[envs] = column.values[envs]
                if np.isnan(values).all():
                    continue
            found[column.name] = values
        return found

    def drop(self, envs: Mask) -> None:
        """Begin anew for `envs`, whose row was recorded; may be called again."""
        is_pending = False
        is_all = _FALSE not in envs.tobytes()
        for column in self._columns.values():
            if not column.is_set:
                continue
            column.values[envs] = np.nan
            column.is_set = not is_all and not np.isnan(column.values).all()
            is_pending = is_pending or column.is_set
        self.is_pending = is_pending

    # -- one env

    def _add_one(
        self, info: Mapping[Any, Any], env: int, prefix: str, depth: int
    ) -> None:
        for key, value in info.items():
            name = prefix + key if type(key) is str else f"{prefix}{key}"
            column = self._columns.get(name)
            # The fast path of nearly all values
            if column is not None and not column.shape:
                kind = type(value)
                if (column.kind == NUMBER and kind in _NUMBERS) or (
                    column.kind == BOOL and kind in _BOOLS
                ):
                    column.values[env] = value
                    column.is_set = self.is_pending = True
                    continue
            if value is None or name in self._refused or key in _KNOWN_ELSEWHERE:
                continue
            if isinstance(value, Mapping):
                if depth > 1:
                    self._add_one(value, env, f"{name}.", depth - 1)
                continue
            if self._is_wanted(name):
                self._add_value(name, value, env)

    def _add_value(self, name: str, value: Any, env: int) -> None:
        try:
            if isinstance(value, str):
                column = self._columns.get(name)
                if column is not None and column.kind == NUMBER:
                    # Before the text has a number: those of the column would mean it.
                    self._warn_both(name)
                    return
                number = self._number(name, value)
                if number is not None:
                    self._put(name, "text", np.float64(number), env)
                return
            array = _as_array(value)
            if array is None or not array.size:
                self._refuse(name, value, "no number, text or array of numbers")
                return
            kind = BOOL if array.dtype == np.bool_ else NUMBER
            self._put(name, kind, array, env)
        except MemoryError:
            raise
        except Exception as error:
            self._refuse(name, value, repr(error))

    # -- a batch

    def _add_batch(
        self, info: Mapping[Any, Any], envs: Mask, prefix: str, depth: int
    ) -> None:
        for key, value in info.items():
            name = f"{prefix}{key}"
            if value is None or name in self._refused or key in _KNOWN_ELSEWHERE:
                continue
            if isinstance(key, str) and key[:1] == "_" and key[1:] in info:
                continue  # which envs have it
            has_it = envs
            known = info.get(f"_{key}")
            if known is not None and np.shape(known) == (self._num_envs,):
                has_it = envs & np.asarray(as_numpy(known), np.bool_)
            if not has_it.any():
                continue
            if isinstance(value, Mapping):
                if depth > 1:
                    self._add_batch(value, has_it, f"{name}.", depth - 1)
            elif self._is_wanted(name):
                try:
                    self._add_values(name, value, has_it)
                except MemoryError:
                    raise
                except Exception as error:
                    self._refuse(name, value, repr(error))

    def _add_values(self, name: str, value: Any, envs: Mask) -> None:
        array = None if isinstance(value, str) else _as_array(value)
        if array is None:
            is_each = hasattr(value, "__len__") and len(value) == self._num_envs
            if isinstance(value, str) or not is_each:
                for env in np.flatnonzero(envs).tolist():
                    self._add_value(name, value, env)
                return
            for env in np.flatnonzero(envs).tolist():  # objects and texts
                self._add_one({name: value[env]}, env, "", _MAX_DEPTH)
            return
        kind = BOOL if array.dtype == np.bool_ else NUMBER
        if array.ndim and len(array) == self._num_envs:
            self._put(name, kind, array[envs], envs)
        else:  # one value of them all
            self._put(name, kind, array, envs, is_one=True)

    # -- columns

    def may_want(self, key: str) -> bool:
        """Whether something of a key may be recorded; its value is not known."""
        if key in self._refused or key in _KNOWN_ELSEWHERE or self._names is False:
            return False
        names = self._names
        return names is True or any(one.partition(".")[0] == key for one in names)

    def _is_wanted(self, name: str) -> bool:
        if self._names is True or name in self._columns:
            return True
        parts = name.split(".")
        names = self._names
        assert not isinstance(names, bool)
        if any(".".join(parts[:stop]) in names for stop in range(1, len(parts) + 1)):
            return True
        self._refused.add(name)
        return False

    def _put(
        self, name: str, kind: str, values: Any, envs: Any, *, is_one: bool = False
    ) -> None:
        """Set the values of an env, or (n, ...) of the envs in a mask."""
        shape = (
            np.shape(values) if is_one or isinstance(envs, int) else values.shape[1:]
        )
        column = self._columns.get(name)
        if column is None or column.shape != shape:
            column = self._new_column(name, kind, shape, column)
            if column is None:
                return
        if column.kind != kind:
            if "text" in (kind, column.kind):
                self._warn_both(name)
                return
            self._set_kind(column, NUMBER)
        column.values[envs] = values
        column.is_set = self.is_pending = True

    def _warn_both(self, name: str) -> None:
        warn_once(
            f"record: expected info[{name!r}] to be texts or numbers, got both; those "
            "of the second type are not recorded."
        )

    def _new_column(
        self, name: str, kind: str, shape: tuple[int, ...], old: _Column | None
    ) -> _Column | None:
        others = sum(one.nbytes for one in self._columns.values() if one is not old)
        size = 8 * int(np.prod(shape))
        if others + size > MAX_BYTES:
            self._refused.add(name)
            warn_once(
                f"record: expected info of at most {MAX_BYTES} bytes a row and env, "
                f"got {size} of {name!r} beside {others} of others; it is not "
                "recorded. Name what is to be: info=[...]."
            )
            return None
        if old is not None and old.is_set:
            warn_once(
                f"record: expected info[{name!r}] of one shape in a row, got "
                f"{old.shape} and {shape}; the second is not recorded."
            )
            return None
        stored = PREFIX + storable_text(name)
        known = self._types().get(stored)  # of an earlier recorder in this cache, too
        if known is not None and isinstance(known, list) != (kind == "text"):
            self._warn_both(name)
            return None
        column = _Column(stored, kind, shape, self._num_envs)
        self._columns[name] = column
        if kind != "text":
            self._set_kind(column, kind if known in (None, kind) else NUMBER)
        return column

    def _set_kind(self, column: _Column, kind: str) -> None:
        column.kind = kind
        self._keep_types({**self._types(), column.name: kind})

    def _keep_types(self, types: dict[str, Any]) -> None:
        if types != self._types():
            self._cache.set_meta(INFO_TYPES, types)

    def _types(self) -> dict[str, Any]:
        # Not kept: another recorder of the cache may have added to them.
        return dict(self._cache.get_meta(INFO_TYPES, {}))

    def _number(self, name: str, text: str) -> int | None:
        """Return the number of a text; None: it is left out."""
        numbers = self._number_of.setdefault(name, {})
        if (found := numbers.get(text)) is not None:
            return found
        stored = PREFIX + storable_text(name)
        known = storable_text(text)
        types = self._types()
        texts = types.get(stored, [])
        if not isinstance(texts, list):
            self._refuse(name, text, "a text in place of a number or truth value")
            return None
        if known not in texts:
            if len(known) > _MAX_CHARS or len(texts) >= _MAX_TEXTS:
                self._refuse(
                    name, text, "a long text" if len(known) > _MAX_CHARS else "many"
                )
                return None
            texts = [*texts, known]
            self._keep_types({**types, stored: texts})
        numbers[text] = texts.index(known)
        return numbers[text]

    def _refuse(self, name: str, value: Any, reason: str) -> None:
        self._refused.add(name)
        warn_once(
            "record: expected info to be numbers, short texts that repeat and small "
            f"arrays, got {type(value).__name__} of {name!r} ({reason:.80}); it is not "
            "recorded. Name what is to be: info=[...]."
        )


def _as_array(value: Any) -> Array | None:
    """Return numbers as an array; None: they are none."""
    try:
        array = np.asarray(as_numpy(value))
    except ValueError:  # a list of unequal ones
        return None
    return array if array.dtype.kind in "biuf" else None
