"""Which policy is better, and where: episodes of the same seeds, compared in numbers.

- `statistics`: rates, means and their intervals, by scipy.
- `columns`: a table that prints itself in a notebook.
- `lines`: recordings, or the segments of one, as named lists of episodes.
- `policy_table`: the numbers of each policy.
- `pairs`: episodes of the same seed side by side.
- `findings`: all of these; `result`: an evaluation's, and what can be done with them.
- `shown`: these as a page shows them, and where their episodes are in it.
- `figure`: returns of each policy, and the difference on each seed.
- `report`: one page for a reader who was not there. `report_text`: its words and
  tables; `chosen`: its episodes; `strips`, `excerpt`: as pictures, as a recording.
- `evaluate`: policies on the same seeds: `rollout_viewer.evaluate`.
"""
