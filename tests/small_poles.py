"""CartPole in pictures of a quarter of the pixels, for tests that compare them.

As real as at 600 x 400, for a quarter of what drawing, converting and encoding take.
"""

from typing import Any

from gymnasium import Env, make

WIDTH, HEIGHT = 300, 200


def small_cartpole(**options: Any) -> Env[Any, Any]:
    """Return CartPole-v1, which draws WIDTH x HEIGHT pixels."""
    env = make("CartPole-v1", **{"render_mode": "rgb_array", **options})
    bare: Any = env.unwrapped
    bare.screen_width, bare.screen_height = WIDTH, HEIGHT
    return env
