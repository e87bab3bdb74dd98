"""Stand-in: what makes a configuration of a class with defaults."""

import copy
import dataclasses
import inspect


def configclass(cls):
    """Return a dataclass; each of its objects has copies of the defaults."""
    for name in inspect.get_annotations(cls):
        value = cls.__dict__.get(name, dataclasses.MISSING)
        if value is not dataclasses.MISSING and value.__class__.__hash__ is None:
            default = dataclasses.field(
                default_factory=lambda value=value: copy.deepcopy(value)
            )
            setattr(cls, name, default)
    return dataclasses.dataclass(cls)
