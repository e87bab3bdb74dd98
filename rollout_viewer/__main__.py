"""`python -m rollout_viewer` is `rollout-viewer`."""

import sys

from rollout_viewer._cli import main

if __name__ == "__main__":
    sys.exit(main())
