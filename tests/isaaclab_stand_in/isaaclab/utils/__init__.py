"""Stand-in: what makes a configuration of a class with defaults."""

import copy
import dataclasses
import functools
import inspect


def configclass(cls):
    """Return a dataclass; each of its objects has copies of the defaults."""
    for name in inspect.get_annotations(cls):
        value = cls.__dict__.get(name, dataclasses.MISSING)
        if value is not dataclasses.MISSING and value.__class__.__hash__ is None:
            copied = functools.partial(copy.deepcopy, value)
            setattr(cls, name, dataclasses.field(default_factory=copied))
    return dataclasses.dataclass(cls)
