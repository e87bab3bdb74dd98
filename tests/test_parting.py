"""Where two episodes part: hand-written ones, by what was recorded of them."""

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._page.parting import EpisodeKey, parting_of, with_partings
from tests.evaluations import two_policies

ONE, OTHER = EpisodeKey(0, 0), EpisodeKey(0, 1)


def recorded(one, other, *, name="obs", pictures=None):
    """Return two episodes with a number in each row; those of "action" lead to it."""
    cache = rv.FrameCache()
    for number, values in enumerate((one, other)):
        for step, value in enumerate(values):
            frame = None
            if pictures:
                frame = np.full((1, 8, 8, 3), pictures[number][step], np.uint8)
            array = np.array([[value]], np.float32)
            is_last = step == len(values) - 1
            cache.append(
                frame,
                reset=[not step],
                reward=[1.0] if step else None,
                terminated=[is_last],
                action=array if name == "action" and step else None,
                data={name: array} if name not in ("action", "") else None,
            )
    return cache


@pytest.mark.parametrize(
    ("one", "other", "offset"),
    [
        ([0, 1, 2, 3], [0, 1, 5, 3], 2),
        ([0, 1, 2], [9, 1, 2], 0),
        ([0, 1, 2], [0, 1, 2], None),
        ([0, np.nan, 2], [0, np.nan, 2], None),
        # The shorter one is over where the other goes on.
        ([0, 1], [0, 1, 2, 3], 2),
        ([0, 1, 2, 3], [0, 1], 2),
    ],
)
def test_episodes_part_where_their_observations_first_differ(one, other, offset):
    cache = recorded(one, other)

    assert parting_of(cache, ONE, OTHER) == ("observations", offset)


def test_any_array_of_a_dict_observation_counts_and_others_do_not():
    assert parting_of(recorded([0, 1], [0, 2], name="obs.arm"), ONE, OTHER)[1] == 1
    cache = recorded([0, 1], [0, 2], name="value")
    assert parting_of(cache, ONE, OTHER) == ("", None)


def test_without_observations_they_part_where_another_action_was_chosen():
    cache = recorded([0, 1, 1, 2], [0, 1, 1, 3], name="action")

    # The last action, of the row before, leads to row 3.
    assert parting_of(cache, ONE, OTHER) == ("actions", 2)


def test_without_numbers_they_part_where_their_pictures_differ():
    pictures = [[7, 8, 9], [7, 8, 10]]
    cache = recorded([0] * 3, [0] * 3, name="", pictures=pictures)

    assert parting_of(cache, ONE, OTHER) == ("pictures", 2)
    assert parting_of(cache, ONE, ONE) == ("pictures", None)


def test_rows_in_which_an_env_is_idle_are_no_steps():
    cache = rv.FrameCache()
    for kinds, values in (
        (["reset", "reset"], [0, 0]),
        (["step", "idle"], [1, 0]),
        (["step", "step"], [2, 1]),
        (["idle", "step"], [2, 9]),
    ):
        obs = np.array(values, np.float32)[:, None]
        cache.append(None, kind=kinds, reward=[1, 1], data={"obs": obs})

    # The third row of each, without those in between in which it was idle.
    found = parting_of(cache, EpisodeKey(0, 0), EpisodeKey(1, 0))
    assert found == ("observations", 2)


def test_what_is_to_be_rendered_is_not_rendered_for_this(monkeypatch):
    cache = two_policies()
    monkeypatch.setattr(type(cache), "has_picture", lambda *_: False)

    assert parting_of(cache, ONE, OTHER) == ("", None)


def test_of_an_episode_that_is_not_there_nothing_is_known():
    for key in (EpisodeKey(0, 7), EpisodeKey(3, 0)):
        assert parting_of(recorded([0], [0]), ONE, key) == ("", None)


def test_a_page_without_kernel_has_the_partings_of_all_its_pairs():
    cache = recorded([0, 1, 2], [0, 1, 3])
    pairs = {
        "env": [0, None],
        "episode": [1, None],
        "env_against": [0, 0],
        "episode_against": [0, 0],
    }
    compare = {"lines": None, "seeds": [], "pairs": pairs}

    shown = with_partings(cache, 6, compare)

    assert shown is not None
    assert shown["pairs"]["parting"] == [["observations", 2], ["", None]]
    assert "parting" not in pairs
    assert shown["pairs"]["env"] == [0, None]
    assert with_partings(cache, 6, None) is None


def test_a_page_of_fewer_rows_has_fewer_pairs():
    cache = recorded([0, 1, 2], [0, 1, 3])
    pairs = {"env": [0], "episode": [1], "env_against": [0], "episode_against": [0]}

    shown = with_partings(cache, 3, {"lines": None, "seeds": [], "pairs": pairs})

    assert shown is not None
    assert shown["pairs"]["env"] == shown["pairs"]["episode_against"] == [None]
    assert shown["pairs"]["parting"] == [["", None]]
