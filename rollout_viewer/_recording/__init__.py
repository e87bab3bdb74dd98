"""Rows and chunks in one file, written and read.

A recording is read through the protocol in `base`, wherever its rows come from. One
picture of a row is identified by its `slot`.

- `live`: it is recorded here. `filing`: what it writes, and when. `appending`: how rows
  come. `late_filing`: how pictures come that are rendered later. `open_block`: its
  newest rows.
- `opened`: it is read from files. `file`: one, which another process may be writing;
  `file_rows`: which rows that has.
  `joined`: several, side by side. `shared`: one that is brought here when it is
  looked at.
- `step_row`: one row's step data. `step_columns`, `rows`: that of all rows.
  `row_episodes`: the episodes that follow from it, each an `episode`.
- `step_codec`: actions and `data` arrays as bytes. `info_types`: what numbers of a
  step's info mean. `storable`: text and JSON values.
- `waiting_rows`: rows of the usual form that are taken in together. `usual_rows`: how
  one is known and put, into `row_arrays`; `noted_rows`: what some have beside that.
  `step_buffer`, `many_buffer`: where those of one env, and of many, come first.
  `saved_rows`, `row_memory`, `row_recovery`: the file in which a kill leaves them.
- `database`, `database_reader`, `statements`: the SQLite file. `writer`: the thread
  that writes it, by `transactions`, into a `written_file`. `named_file`: whether that
  has its name still.
- `trust`, `cells`, `tensors`, `stored_rows`: what is checked of a file before it is
  believed, and how what is damaged is shown as missing. `sealed_text`: JSON and its
  checksum. `placed`: bytes, and the checksum of them and of their place.
- `checked_numbers`: of rows and envs, as they were passed.
- `wal`: whose the log beside a file is. `temporary`: files of no name, and what killed
  processes leave of them.
- `lock`, `workers`: one process writes a file. `open_files`: not too many are open.
  `eviction`: what `disk_bytes` leaves.
- `sealed_block`: rows that were encoded in another process; `block_extras`: actions and
  data of several; `checked_block`: what is filed without being read.
- `late_pictures`: pictures that are added to rows without any.
- `annotations`: bookmarks and labels. `copy`, `compact`: whole files rewritten.
- `reader`: what can be read of any recording, with `info` (what it holds), `query`,
  `column`, `row_copy` (step data), `decoder_cache` (pictures), `shown_slots` (which
  size they have) and `prefetch` (rows in order).

Knows frames and files. Knows nothing of environments, clips or pages.
"""
