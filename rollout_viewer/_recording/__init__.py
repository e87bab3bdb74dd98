"""Rows and chunks in one file, written and read.

A recording is asked through the protocol in `base`, wherever its rows come from;
a picture of a row is known by its `slot`.


- `live`: it is being recorded here. `file`: read while another process may write it.
  `joined`: several files side by side.
- `rows`, `episode`: the step data of all rows, and the episodes in it.
- `step_codec`: actions and `data` arrays as bytes.
- `database`, `statements`: the SQLite file. `writer`: the thread that writes it.
- `lock`, `workers`: one writer a file. `eviction`: what `disk_bytes` leaves.
- `annotations`: bookmarks and labels. `copy`, `compact`: whole files anew.
- `reader`: what can be asked of any recording, with `query` and `column` (step data),
  `decoder_cache` (pictures) and `prefetch` (rows in order).

Knows frames and files. Knows nothing of environments, clips or pages.
"""
