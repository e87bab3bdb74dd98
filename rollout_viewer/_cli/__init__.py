"""The command line, `rollout-viewer`.

- `commands`: what each command does, and `main`. `arguments`: its options and help.
- `recordings`: those that commands make. `demo`: a folder with all that can be made of
  one.
"""

from rollout_viewer._cli.commands import main as main
