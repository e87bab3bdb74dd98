"""Pictures of rows that were recorded without any, by stepping environments again.

- `recipe`: how an environment is made again. `env_state`: what its next reset depends
  on. `episode_start`: both, and the arguments of the reset, as bytes.
- `column_env`: one environment of a class that steps many at once.
- `dm_control_env`: one of dm_control, with Gymnasium's interface.
- `observations`: checksums and comparison of observations. `probe`: of those below
  wrappers that keep statistics.
- `plan`: which episodes are replayed for which rows, and from where.
- `replay`: an environment is stepped through recorded actions and compared.
  `skipped_picture`: what making a picture does to it, where none is made.
  `viewpoint`: from where MuJoCo's camera looks. `worker`: the process in which that
  happens. `pool`: these processes, seen from here, and `messages`, what they are sent
  and answer.
- `kept_states`: what is kept of a functional environment's states, and pictures of
  that. `state_replay`: in the place of a replay.
- `block_pictures`: rendered pictures become chunks.
- `render`: fills a recording with the pictures.

Knows recordings and what Gymnasium's environments have in common. Makes environments
in processes of its own only.
"""
