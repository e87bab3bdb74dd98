"""Files: under which names, and written whole or not at all.

- `names`: paths from names, which lie in their folder. `new_files`: files under a free
  name, and what is there already.

Knows paths. Knows nothing of what is written.
"""
