from __future__ import annotations

import pytest

from kubeshark.pipeline.scripts._metrics import MAX_SERIES, MetricError, ScriptMetrics


def test_the_current_value_is_shown_and_a_counter_may_fall() -> None:
    metrics = ScriptMetrics()
    metrics.set("s", "hub", "n", "help\nme", 1, 5, {"a": True, "b": None})
    metrics.set("s", "hub", "n", "", 1, 2.5, {"a": True, "b": None})
    assert metrics.render() == (
        "# HELP kubeshark_script_n help\\nme\n# TYPE kubeshark_script_n counter\n"
        'kubeshark_script_n{script="s",node="hub",a="true",b=""} 2.5\n'
    )


def test_prometheus_reads_it() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    metrics = ScriptMetrics()
    metrics.set("s", "hub", "n", "h", 2, float("inf"), {"l": 'a"\\\nb'})
    [family] = parser.text_string_to_metric_families(metrics.render())
    assert (family.type, family.samples[0].value) == ("gauge", float("inf"))
    assert family.samples[0].labels == {"script": "s", "node": "hub", "l": 'a"\\\nb'}


@pytest.mark.parametrize(
    "wrong",
    [
        ("bad name", "", 1, 1, {}),
        ("n", "", 4, 1, {}),
        ("n", "", 1, "1", {}),
        ("n", "", 1, True, {}),
        ("n", "", 1, 1, {"script": "x"}),
        ("n", "", 1, 1, {"a b": "x"}),
        ("n", "", 1, 1, ["x"]),
    ],
)
def test_what_is_no_metric_is_refused(wrong: tuple[object, ...]) -> None:
    with pytest.raises(MetricError):
        ScriptMetrics().set("s", "hub", *wrong)


def test_series_are_bounded_for_each_script() -> None:
    metrics = ScriptMetrics()
    for n in range(MAX_SERIES):
        metrics.set("s", "hub", "n", "", 2, n, {"n": n})
    with pytest.raises(MetricError, match="more than 1,000 series"):
        metrics.set("s", "hub", "n", "", 2, 1, {"n": "more"})
    metrics.set("s", "hub", "n", "", 2, 7, {"n": 5})
    metrics.set("other", "hub", "n", "", 2, 1)
    metrics.forget("s")
    assert metrics.render().count("\n") == 3
