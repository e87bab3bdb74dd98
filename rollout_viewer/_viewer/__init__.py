"""The widget, and the threads that feed it.

- `widget`: `RolloutViewer` and `view`. `as_cache`: whatever holds a recording.
- `requests`: what a page asks for. `stream`: the thread that sends to pages.
- `export_jobs`: the thread that dumps. `compare`: several recordings as one.
- `notebook`: where we run, and which cell.
"""
