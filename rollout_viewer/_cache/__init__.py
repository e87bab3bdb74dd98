"""`FrameCache`, `Clip` and `open`: the API over a recording.

- `cache`: what a recorder fills. `row_appender`: its calls; `block_appender`: those of
  recorders in other processes. `row_checker`: what `append` accepts. `losses`: what is
  warned of. `annotator`: what the user notes in a cache. `subscribers`: who is notified
  of rows and annotations. `completed_reader`: numbers, when no row is owed.
  `kept_on_error`: an exception leads to what was recorded before it.
- `block_builder`: rows encoded for a cache in another process. `block_filer`: blocks
  of several become rows of one cache; `unfiled`: how many are on their way.
- `remote_rows`: a recorder's rows on their way to the process of a cache, as
  `remote_messages`. `intake`: how that process takes them in; `remote_recorder`: one
  whose rows come; `event_queue`: how it waits for them.
- `episode_infos`: what is known of an episode, of its segment and its own.
- `rendering_reader`: pictures that come later. `rendering`: those that are asked for;
  `background_rendering`: those that a page looks at, and of episodes that have ended;
  `kept_workers`: the processes that make them.
- `clip`: an immutable selection, to be written to files and dumped to loggers.
- `import_labels`: bookmarks and labels from an exported page.
- `summary`: the figures of its episodes.
- `shared_storage`: recordings at URLs, written and read.
- `open`, `arrays`: recordings of files, videos and arrays that exist already.
"""
