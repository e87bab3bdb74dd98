"""The numbers of an evaluation: scipy's, published examples, tables by hand."""

import json
import math
import re
import sys
import time

import numpy as np
import pytest
import scipy.stats

import rollout_viewer as rv
from rollout_viewer._errors import MissingDependencyError, RowError
from rollout_viewer._evaluate.columns import Columns
from rollout_viewer._evaluate.lines import Line
from rollout_viewer._evaluate.pairs import order_of_seeds
from rollout_viewer._evaluate.statistics import (
    interquartile_mean,
    interquartile_mean_interval,
    mean_interval,
    rate_interval,
    sign_test,
)
from rollout_viewer._recording.episode import Episode
from rollout_viewer.testing import CountingEnv
from tests.evaluations import add_episodes, two_policies

from_recordings = rv.EvaluationResult.from_recordings


def is_good(episode):
    """Succeed with a return of two or more."""
    return episode.total_reward >= 2


# R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
@pytest.mark.parametrize(
    ("num_successes", "num_episodes", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_a_rate_has_wilsons_interval(num_successes, num_episodes, low, high):
    assert rate_interval(num_successes, num_episodes) == pytest.approx(
        (low, high), abs=5e-5
    )


def test_a_rate_of_nothing_has_no_interval():
    assert all(map(math.isnan, rate_interval(0, 0)))


def test_the_interquartile_mean_leaves_a_quarter_out_at_each_end():
    assert interquartile_mean(np.array([0.0, 0, 1, 2, 3, 4, 1000, 1000])) == 2.5


def test_intervals_of_means_are_those_of_scipys_bootstrap():
    values = np.random.default_rng(3).exponential(size=40)

    expected = scipy.stats.bootstrap(
        (np.sort(values),), np.mean, n_resamples=2000, method="percentile", rng=0
    ).confidence_interval
    low, high = interquartile_mean_interval(values)

    assert mean_interval(values) == pytest.approx(expected)
    assert low < scipy.stats.trim_mean(values, 0.25) < high
    # whichever episode ended first
    assert (low, high) == interquartile_mean_interval(values[::-1])


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan], [1.0, np.inf]])
def test_what_gives_no_interval_is_nan(values):
    assert all(map(math.isnan, mean_interval(np.array(values))))


def test_equal_returns_have_an_interval_of_no_width():
    assert mean_interval(np.full(5, 2.0)) == (2.0, 2.0)


def test_the_sign_test_is_that_of_the_textbook():
    # J. H. Zar, Biostatistical Analysis: hind legs of ten deer, 8 longer, 2 shorter
    assert sign_test(8, 2) == pytest.approx(0.109375)
    assert math.isnan(sign_test(0, 0))


def test_the_table_has_the_numbers_of_each_policy():
    result = from_recordings(two_policies(), success=is_good)

    before, after = result.table.lines()

    assert before["policy"] == "before"
    assert (before["n"], before["unfinished"]) == (4, 0)
    assert (before["success_n"], before["success_rate"]) == (4, 0.75)
    # Wilson, of 3 in 4 by hand: (3 + 1.9208 -+ 1.96 sqrt(3 * 1 / 4 + 0.9604)) / 7.8415
    assert before["success_low"] == pytest.approx(0.3006, abs=1e-4)
    assert before["success_high"] == pytest.approx(0.9544, abs=1e-4)
    assert (before["return_mean"], before["return_median"]) == (2.5, 2.5)
    assert before["return_iqm"] == 2.5
    assert before["length_mean"] == 2
    assert (after["return_mean"], after["return_median"]) == (3.5, 2.0)
    assert after["return_iqm"] == 2.0
    assert after["return_iqm_low"] <= 2 <= after["return_iqm_high"]


def test_pairs_are_the_episodes_of_one_seed():
    paired = from_recordings(two_policies(), success=is_good).paired

    assert paired["seed"].tolist() == [0, 1, 2, 3]
    assert paired["return"].tolist() == [2, 2, 1, 9]
    assert paired["return_against"].tolist() == [1, 2, 3, 4]
    assert paired["difference"].tolist() == [1, 0, -2, 5]
    assert paired["winner"].tolist() == ["after", "", "before", "after"]
    assert paired["flip"].tolist() == ["gained", "", "lost", ""]
    assert set(paired["against"]) == {"before"}


def test_the_summary_says_what_the_pairs_say_together():
    paired = from_recordings(two_policies(), success=is_good).paired

    (line,) = paired.summary.lines()

    assert (line["policy"], line["against"], line["pairs"]) == ("after", "before", 4)
    assert line["difference_mean"] == 1.0
    expected = mean_interval(np.array([1.0, 0, -2, 5]))
    assert (line["difference_low"], line["difference_high"]) == expected
    assert (line["better"], line["worse"], line["equal"]) == (2, 1, 1)
    assert line["sign_test_p"] == 1.0
    assert (line["gained"], line["lost"], line["flips_p"]) == (1, 1, 1.0)
    assert line["is_worse"] is False
    assert "better on 2, worse on 1, equal on 1" in repr(paired)
    assert "after succeeds where before fails: seeds 0\n" in repr(paired)


def test_a_policy_that_returns_less_on_every_seed_is_worse():
    cache = rv.FrameCache()
    for name, bonus in (("good", 5.0), ("bad", 0.0)):
        with cache.segment(name):
            add_episodes(cache, {seed: [seed % 3 + bonus] for seed in range(8)})

    (line,) = from_recordings(cache).paired.summary.lines()
    (other,) = from_recordings(cache, segments=["bad", "good"]).paired.summary.lines()

    assert line["is_worse"]
    assert line["difference_high"] < 0
    assert not other["is_worse"]


def test_the_kth_episode_of_a_seed_is_paired_with_the_kth():
    cache = rv.FrameCache()
    for name, sign in (("a", 1.0), ("b", -1.0)):
        with cache.segment(name):
            add_episodes(cache, {7: [sign * 1]})
            add_episodes(cache, {7: [sign * 2], None: [100.0]})

    paired = from_recordings(cache).paired

    assert paired["seed"].tolist() == [7, 7]
    assert paired["difference"].tolist() == [-2, -4]


def test_seeds_are_in_the_order_flips_first_then_the_largest_difference():
    result = from_recordings(two_policies(), success=is_good)

    assert order_of_seeds(result.comparisons) == [2, 0, 3, 1]


def test_unknown_success_is_counted_in_no_rate():
    result = from_recordings(
        two_policies(), success=lambda one: None if one.seed == 0 else is_good(one)
    )

    before, after = result.table.lines()
    assert (before["success_n"], before["success_rate"]) == (3, 1.0)
    assert after["success_rate"] == pytest.approx(2 / 3)
    assert result.paired["success"].tolist() == [None, True, False, True]
    assert result.paired.summary.lines()[0]["success_pairs"] == 3
    (unknown, _) = from_recordings(two_policies()).table.lines()
    assert unknown["success_n"] == 0
    assert math.isnan(unknown["success_rate"])


def test_recordings_by_name_are_compared_like_segments(tmp_path):
    one, other = rv.FrameCache(tmp_path / "a.rollout"), rv.FrameCache()
    add_episodes(one, {0: [1.0], 1: [2.0]})
    add_episodes(other, {1: [5.0], 2: [7.0]}, is_cut=True)
    one.close()

    result = from_recordings({"disk": tmp_path / "a.rollout", "memory": other})

    assert result.table["policy"].tolist() == ["disk", "memory"]
    assert result.paired["seed"].tolist() == [1]
    assert result.paired["difference"].tolist() == [3]


def test_episodes_that_did_not_end_are_counted_and_left_out():
    cache = rv.FrameCache()
    add_episodes(cache, {0: [1.0]})
    cache.append(np.zeros((1, 12, 16, 3), np.uint8), reset=[True])
    cache.append(np.zeros((1, 12, 16, 3), np.uint8), reward=[100.0])

    (line,) = from_recordings(cache).table.lines()

    assert (line["n"], line["unfinished"], line["return_mean"]) == (1, 1, 1.0)


def test_wrong_sources_are_refused():
    with pytest.raises(RowError, match=r"expected episodes that ended, got none in \["):
        from_recordings(rv.FrameCache())
    with pytest.raises(RowError, match=r"of \['before', 'after'\], got \['other'\]"):
        from_recordings(two_policies(), segments=["before", "other"])
    with pytest.raises(ValueError, match="expected segments of one recording"):
        from_recordings({"a": two_policies()}, segments=["before"])
    with pytest.raises(TypeError, match="expected a FrameCache"):
        from_recordings(3)
    for segments in ("before", [], [3], 3):
        with pytest.raises(TypeError, match="expected segments to be a list of names"):
            from_recordings(two_policies(), segments=segments)
    for sources in ([two_policies(), two_policies()], ["a.rollout", two_policies()]):
        with pytest.raises(TypeError, match=r"expected recordings by name.*FrameCache"):
            from_recordings(sources)


def test_without_scipy_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.stats", None)

    with pytest.raises(MissingDependencyError, match=r'rollout-viewer\[stats\]"'):
        from_recordings(two_policies())


def test_columns_become_a_data_frame():
    pandas = pytest.importorskip("pandas", reason="only where it is installed")
    result = from_recordings(two_policies(), success=is_good)

    frame = pandas.DataFrame(result.table)

    assert frame.shape == (2, 13)
    assert frame.set_index("policy").loc["after", "return_mean"] == 3.5
    assert len(pandas.DataFrame(result.paired)) == 4


def test_what_a_notebook_shows_is_text_whatever_the_name():
    name = '<script>alert(1)</script>"\x1b[31m'
    result = from_recordings(two_policies(names=("before", name)), success=is_good)

    shown = result._repr_html_() + result.paired._repr_html_()

    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert "\x1b" not in shown + repr(result) + repr(result.paired)


def test_values_of_a_label_are_compared(tmp_path):
    with rv.FrameCache(tmp_path / "training.rollout") as cache:
        for step, bonus in ((0, 0.0), (100, 2.0), (200, 1.0)):
            for segment in ("eval", "other"):
                with cache.segment(segment, train_step=step):
                    add_episodes(cache, {seed: [seed + bonus] for seed in range(3)})

    result = from_recordings(cache, by="train_step", segments=["eval"])

    names = ["train_step 0", "train_step 100", "train_step 200"]
    assert result.table["policy"].tolist() == names
    assert result.table["n"].tolist() == [3, 3, 3]
    assert result.paired.summary["difference_mean"].tolist() == [2.0, 1.0]
    assert from_recordings(cache, by="train_step").table["n"].tolist() == [6, 6, 6]
    pairs = result.viewer._manifest()["compare"]["pairs"]
    assert pairs["line"] == [1, 1, 1, 2, 2, 2]
    # Of each value three episodes, and three of the other segment after them.
    assert pairs["episode"] == [6, 7, 8, 12, 13, 14]
    assert pairs["episode_against"] == [0, 1, 2, 0, 1, 2]
    page = rv.report(cache, tmp_path / "a.html", by="train_step").read_text("utf-8")
    assert "train_step 200 returns more than train_step 0" in page
    with pytest.raises(RowError, match=r"of the labels \['train_step'\], got 'step'"):
        from_recordings(cache, by="step")
    with pytest.raises(ValueError, match="expected by of one recording"):
        from_recordings({"a": cache}, by="train_step")


def test_long_columns_are_shown_in_part_and_kept_whole():
    columns = Columns({"seed": range(1000)})

    assert "... and 980 more lines" in repr(columns)
    assert columns._repr_html_().count("<tr>") == 21
    assert len(columns["seed"]) == 1000


def test_the_viewer_begins_with_the_policies_below_each_other_and_flips_first():
    cache = two_policies()
    result = from_recordings(cache, success=is_good)
    with cache.segment("later"):
        add_episodes(cache, {0: [1.0]})

    assert result.viewer is result.viewer
    shown = result.viewer._manifest()["compare"]
    assert shown["lines"] == ["before", "after"]
    assert shown["seeds"] == ["2", "0", "3", "1"]
    (other,) = [from_recordings({"x": cache, "y": two_policies()})]
    assert other.viewer._manifest()["compare"]["lines"] is None
    alone = rv.FrameCache()
    add_episodes(alone, {0: [1.0]})
    shown = from_recordings(alone).viewer._manifest()["compare"]
    assert shown["seeds"] == []
    assert [line["n"] for line in shown["policies"]] == [1]


def test_a_page_is_given_the_numbers_and_where_the_episodes_are():
    result = from_recordings(two_policies(), success=is_good)

    shown = json.loads(json.dumps(result.viewer._manifest()["compare"]))

    before, after = shown["policies"]
    assert (before["policy"], before["success_rate"], before["n"]) == (
        "before",
        0.75,
        4,
    )
    assert (after["return_mean"], after["return_iqm"]) == (3.5, 2)
    (line,) = shown["against"]
    assert (line["pairs"], line["gained"], line["lost"], line["better"]) == (4, 1, 1, 2)
    expected = "after is not shown to return more or less than before"
    assert line["finding"] == expected
    assert shown["pairs"] == {
        "line": [1, 1, 1, 1],
        "seed": ["0", "1", "2", "3"],
        "env": [0, 0, 0, 0],
        "episode": [4, 5, 6, 7],
        "env_against": [0, 0, 0, 0],
        "episode_against": [0, 1, 2, 3],
        "return": [2, 2, 1, 9],
        "return_against": [1, 2, 3, 4],
        "difference": [1, 0, -2, 5],
        "flip": [1, 0, -1, 0],
    }


def test_a_page_is_given_no_number_that_json_does_not_have():
    cache = rv.FrameCache()
    for name, rewards in {"a": [math.inf, 1], "b": [1, -math.inf]}.items():
        with cache.segment(name):
            add_episodes(cache, {seed: [one] for seed, one in enumerate(rewards)})

    shown = from_recordings(cache).viewer._manifest()["compare"]

    json.dumps(shown, allow_nan=False)
    assert shown["pairs"]["return"] == [1, "-Infinity"]
    assert shown["pairs"]["difference"] == ["-Infinity", "-Infinity"]
    assert shown["policies"][0]["success_rate"] is None


def test_episodes_of_compared_recordings_are_those_of_all_envs():
    result = from_recordings({"x": two_policies(), "y": two_policies()})

    pairs = result.viewer._manifest()["compare"]["pairs"]

    assert set(pairs["env"]) == {1}
    assert set(pairs["env_against"]) == {0}


@pytest.mark.serial
def test_a_thousand_seeds_of_two_policies_take_less_than_a_second():
    random = np.random.default_rng(0)
    lines = []
    for name in ("before", "after"):
        totals = random.normal(size=1000).tolist()
        episodes = [
            Episode(0, index, 9 * index, 9 * index + 9, 9, total, True, seed=index)
            for index, total in enumerate(totals)
        ]
        lines.append(Line(name, None, episodes, [one > 0 for one in totals], 0))

    began = time.process_time()
    result = rv.EvaluationResult(lines)
    repr(result.table), repr(result.paired)

    assert time.process_time() - began < 1


def test_returns_without_nan_rewards_are_said_to_be_that(tmp_path):
    with rv.FrameCache() as cache:
        for name, reward in (("before", 1.0), ("after", math.nan)):
            with cache.segment(name):
                add_episodes(cache, {0: [reward, 2.0], 1: [3.0]})
        result = from_recordings(cache)

        note = (
            "1 episodes of after have NaN among their rewards, which is left out of "
            "their returns."
        )
        assert result.table["return_mean"].tolist() == [3.0, 2.5]
        assert repr(result.table).splitlines()[-1] == note
        page = result.report(tmp_path / "a.html").read_text("utf-8")
    assert page.count(note) == 1


def test_equal_names_are_refused(tmp_path):
    path = tmp_path / "a.rollout"
    two_policies(path).close()
    cases = [
        ([path, str(path)], {}),
        ({1: path, "1": path}, {}),
        (path, {"segments": ["before", "before"]}),
    ]

    for sources, options in cases:
        with pytest.raises(ValueError, match="expected names that differ, got"):
            from_recordings(sources, **options)
    with pytest.raises(ValueError, match=r"evaluate: expected names that differ, got"):
        rv.evaluate(CountingEnv, dict.fromkeys(["\ud800", "\ud801"]), seeds=[0])


def test_infinite_returns_are_said_to_be_that(tmp_path):
    cache = rv.FrameCache()
    for name, first in (("before", -math.inf), ("after", 1.0)):
        with cache.segment(name):
            add_episodes(cache, {0: [-math.inf], 1: [first], 2: [2.0]})

    result = from_recordings(cache)

    (sentence,) = result.paired.caption
    said = "better on 1, worse on 0, equal on 1, not known on 1 (sign test"
    assert f"return not known, as some are infinite, {said}" in sentence
    page = result.report(tmp_path / "a.html").read_text("utf-8")
    page = re.sub(r'"data:[^"]*"', "", page.partition("<iframe")[0])
    for text in (repr(result), repr(result.paired), page):
        assert "nan" not in text


def test_one_pair_has_no_interval():
    cache = rv.FrameCache()
    for name, total in (("before", 1.0), ("after", 3.5)):
        with cache.segment(name):
            add_episodes(cache, {0: [total]})

    assert "on 1 seed: return +2.5 (no interval)," in repr(
        from_recordings(cache).paired
    )


def test_episodes_of_seeds_that_one_has_alone_are_counted(tmp_path):
    cache = rv.FrameCache()
    for name, seeds in (("before", [0, 1, 2, 3, None]), ("after", [2, 3, 4])):
        with cache.segment(name):
            add_episodes(cache, {seed: [1.0] for seed in seeds})

    result = from_recordings(cache)

    (line,) = result.paired.summary.lines()
    assert (line["pairs"], line["unpaired"], line["unpaired_against"]) == (2, 1, 3)
    said = "on 2 seeds that both have (1 episodes of after and 3 of before are not comp"
    assert said in result.paired.caption[0]
    page = result.report(tmp_path / "a.html").read_text("utf-8")
    assert "1 episodes of after and 3 of before are of seeds that the other" in page
