"""`FrameCache`, `Clip` and `open`: the API over a recording.

- `cache`: what a recorder fills. `row_checker`: what `append` accepts.
- `clip`: an immutable selection that writes itself and goes to loggers.
- `open`, `arrays`: recordings of files, videos and arrays that exist already.
"""
