"""What making a picture does to an environment, where none is made.

A picture should change nothing. Three of Gymnasium's environments change in `render`
what the next picture shows, though: without that, a row that is rendered alone is not
what it is among all others. Where LunarLander is not rendered, its flames pile up, too,
and each step is slower than the one before it.

Source: `render` of LunarLander, BipedalWalker and Taxi of Gymnasium 1.1 to 1.4; the
others have nothing of the kind.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def skip_nothing() -> None:
    """Do nothing: a picture of most environments changes nothing."""


def picture_skipper(env: Any) -> Callable[[], None]:
    """Return what is to be called for each picture that is not made.

    Args:
        env: A Gymnasium environment, wrapped or not.
    """
    bare = env.unwrapped
    for names, skip in _SKIPPERS.items():
        if all(hasattr(bare, name) for name in names):
            return partial(skip, bare)
    return skip_nothing


def _fade_flames(lander: Any) -> None:
    for flame in lander.particles:
        flame.ttl -= 0.15
    lander._clean_particles(False)


def _turn_lidar(walker: Any) -> None:
    walker.lidar_render = (walker.lidar_render + 1) % 100


def _turn_taxi(taxi: Any) -> None:
    if taxi.lastaction in (0, 1, 2, 3):
        taxi.taxi_orientation = taxi.lastaction


# By attributes that no other environment has, and these have before their first reset:
# of copies and subclasses, too.
_SKIPPERS = {
    ("particles", "_clean_particles"): _fade_flames,
    ("hardcore", "_generate_clouds"): _turn_lidar,
    ("lastaction", "taxi_orientation"): _turn_taxi,
}
