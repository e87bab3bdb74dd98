"""Stand-in: see `tests.isaaclab_stand_in`."""
