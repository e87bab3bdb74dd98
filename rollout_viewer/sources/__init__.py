"""Adapters: what each call does to an environment, handed to the recorder as rows.

- `_record`, `_adapters`: ``record(env)`` and the table of adapters it looks up.
- `_rollout`, `_rollout_env`: ``rollout(env)`` and what it steps.
- `_collect`: ``collect(make_env)``, which records in many processes.
- `gymnasium`, `sb3`, `pettingzoo`, `torchrl`, `rllib`, `isaaclab`: one module or
  package for each framework, and the only place that imports it. `duck_typed`:
  environments without one.
- `_batched_rows`, `_batched_calls`, `_batched_env`, `_terminal_pictures`,
  `_render_each`, `_gl_context`, `_spaces`, `_shared_arrays`, `_wrapper`, `_guard`: what
  they share.
- `_device_copies`, `_device_calls`: tensors of a GPU, and what a call returned of them.
- `_later_rows`, `_later_envs`, `_observation_check`: what they record where pictures
  are rendered later. `_usual_calls`: calls of many that are recorded faster then,
  `_known_envs`: what is asked of each.
- `_make_envs`, `_load_policy`: environments from their ids and policies from their
  files, for the command line.
- `arrays`: recordings of arrays.
"""
