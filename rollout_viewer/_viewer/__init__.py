"""The widget, and the threads that feed it.

- `widget`: `RolloutViewer` and `view`. `shown_widget`: what a cell shows of it.
  `linked_widget`: what it and its page send each other; `traits`: its controls;
  `late_widget`: when it is registered; `weak_calls`: what does not keep it alive.
  `as_cache`: whatever holds a recording.
- `bookmarks`: the trait and the recording's. `requests`: what a page asks for.
- `stream`: what is sent to pages; `throughput`: how much at a time; `delivery`: whether
  it has arrived; `pages`: which pages are there. `rendered_pictures`: those that are
  rendered where a page looks. `subscription`: follows a recording.
- `previews`: what is shown where the link is too thin for exact pictures;
  `preview_videos`: makes them.
- `dumps`: what a viewer writes; `export_jobs`: at a page's request. `worker`: a thread
  that lives while there is work.
- `saved`: what a notebook keeps of it. `snapshot`: an array shown as a picture.
- `compare`: several recordings as one. `beginning`: how a page begins.
- `notebook`: where we run, and which cell.
"""
