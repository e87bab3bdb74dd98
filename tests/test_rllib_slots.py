"""What an EnvRunner of RLlib hands over; Ray is not needed for it."""

from __future__ import annotations

import pytest

from rollout_viewer.sources.rllib._episode_slots import Slot
from tests.test_append_block import step


def test_a_block_that_an_interrupt_hands_over_twice_is_kept_once():
    slot = Slot()
    add = slot.builder._on_block

    def add_interrupted(block):
        add(block)
        slot.builder._on_block = add
        raise KeyboardInterrupt

    slot.builder._on_block = add_interrupted
    for row in range(3):
        slot.builder.append(**step(row))
    with pytest.raises(KeyboardInterrupt):
        slot.builder.seal()
    taken = list(slot.blocks)
    slot.blocks.clear()  # as the driver has asked meanwhile
    slot.builder.seal()

    assert len(taken) == 1
    assert not slot.blocks
