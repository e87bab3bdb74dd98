"""collect(make_env): episodes of given seeds, in processes that ship sealed blocks.

- `collect`: the function, and its arguments. `serial`, `processes`, `ray_cluster`: its
  backends, and `collection`: what they share.
- `jobs`: which episodes are still to be collected, and which were lost.
- `runner`: steps an environment through episodes; `policy`: what chooses the actions,
  and how it is sent.
- `worker`: a process that does it; `messages`: what it is sent and answers; `outbox`:
  how they go many at a time; `worker_process`: one seen from the driver; `pace`: how
  much it is given at a time.
- `progress`: a line for each.

Knows recorders and caches. Knows no framework: `record` does.
"""
