"""A selection of a recording becomes files, or is dumped to a logger.

- `selection`: rows x envs x camera, as grids, tiles or a table. `tile_rows` reads
  the tiles.
- `damage`: warns once of what cannot be read.
- `table`, `table_files`: its step data; CSV and Parquet.
- `write`: one call, one or many files. `writers`: a function for each suffix.
- `job`, `provenance`: how to write; the metadata of a file's origin.
- `dump`: to a logger.
- `labels`, `png`, `figure`: text on frames, stills, figures.
- `html`: the page in a file; `document` is its text, `page_size` what would be
  smaller. `poster`: what is shown where no scripts run.

Knows recordings and loggers by what they can do. Knows no widget and no environment.
"""
