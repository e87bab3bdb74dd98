"""The version, as a string: what pyproject.toml and js/build.mjs read."""

__version__ = "0.1.0"
