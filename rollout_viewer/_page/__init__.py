"""The messages between kernel and page, the same in a notebook and in an HTML file.

- `protocol`: the specification of all messages; `check_messages`: the check of those
  that come in.
- `build_messages`: a recording as messages; `offline`: all of it, for a page without
  kernel; `thin`: fewer and smaller pictures.
- `details`: answers to what a page asks for: fields of one env, a whole column.
- `parting`: where two episodes part, of an evaluation.
- `bundle`: the built page of ``js/``.

Knows recordings. Knows nothing of widgets.
"""
