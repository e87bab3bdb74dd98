"""What a process does when it forks, and when what it holds is collected.

- `forks`: what a forked child inherits; `finalizers`: what ends with an object;
  `waiting`: for other threads, where Ctrl-C may come.

Knows locks and threads. Knows nothing of what they are for.
"""
