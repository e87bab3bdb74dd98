"""Which policy is better, and where: episodes of the same seeds, compared in numbers.

- `statistics`: rates, means and their intervals, by scipy.
- `columns`: a table that prints itself in a notebook.
- `lines`: recordings, or the segments of one, as named lists of episodes.
- `policy_table`: the numbers of each policy.
- `pairs`: episodes of the same seed side by side.
- `result`: all of these, of one evaluation.
- `run`: the episodes of one policy, recorded.
- `evaluate`: policies on the same seeds: `rollout_viewer.evaluate`.
"""
