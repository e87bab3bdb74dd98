"""The command line, `rollout-viewer`.

- `commands`: what each command does, and `main`. `arguments`: its options and help.
- `demo`: the folder that ``rollout-viewer demo`` makes.
"""

from rollout_viewer._cli.commands import main as main
