import pytest
from prometheus_client import CollectorRegistry

from kdns.metrics import Enabled, EnabledPlugins, Metrics


def test_a_metric_that_is_asked_for_again_keeps_its_count() -> None:
    metrics = Metrics()
    metrics.counter("c_total", "Text.", ("a",)).labels("x").inc()
    metrics.counter("c_total", "Text.", ("a",)).labels("x").inc()

    assert metrics.registry.get_sample_value("c_total", {"a": "x"}) == 2


def test_a_name_has_one_kind() -> None:
    metrics = Metrics()
    metrics.counter("c_total", "Text.")

    with pytest.raises(TypeError, match="c_total is a Counter already"):
        metrics.gauge("c_total", "Text.")


def test_the_process_is_measured_once() -> None:
    metrics = Metrics()
    metrics.measure_process()
    metrics.measure_process()

    assert metrics.registry.get_sample_value("process_cpu_seconds_total")


def test_enabled_plugins_are_those_of_the_last_configuration() -> None:
    enabled, registry = EnabledPlugins(), CollectorRegistry()
    registry.register(enabled)
    enabled.rows = [Enabled("dns://:53", ".", "log")]
    enabled.rows = [Enabled("dns://:53", ".", "cache"), Enabled("dns://:53", ".", "cache")]

    [family] = registry.collect()
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"server": "dns://:53", "zone": ".", "view": "", "name": "cache"}, 1)
    ]
