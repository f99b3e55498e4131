"""``prometheus``: the page that Prometheus scrapes.

What is on it is counted elsewhere: by the server, by every plugin, by the process. The page itself
only writes numbers the way that CoreDNS writes them.
"""

import platform
from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from kdns.assembly import Block
from kdns.chain import Address
from kdns.corefile.places import place
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, fail, once, unknown
from kdns.metrics import Metrics
from kdns.server.http import Reply, Visit
from kdns.version import VERSION

PATH = "/metrics"
LOCAL: Address = ("localhost", 9153)
_OPTIONS = ("runtime_metrics", "tls")


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Count the queries of a block, and serve the page."""
    directive = once(directives)
    address = place(directive, LOCAL)
    for line in directive.lines:
        match line.name.text:
            case "runtime_metrics":
                arguments(line, 0)
                text = "runtime_metrics changes nothing: there is no Go runtime to be measured"
                block.warn(line.name, text)
            case "tls":
                fail(line.name, "metrics are served over plain HTTP only: expected no tls")
            case _:
                unknown(line, _OPTIONS, of="prometheus")
    serve(address, block)


def serve(address: Address, block: Block) -> None:
    """Count the queries of a block and measure the process, and show both at an address."""
    metrics = block.runtime.metrics
    metrics.measure_process()
    _introduce(metrics)
    block.counted = True
    block.serve_http(address, PATH, MetricsPage(metrics).show)


def _introduce(metrics: Metrics) -> None:
    """Say what runs, under the name and the labels that CoreDNS uses for itself."""
    built = metrics.gauge(
        "coredns_build_info",
        "1, with what runs in place of CoreDNS: version, revision and runtime.",
        ("version", "revision", "goversion"),
    )
    built.labels(f"kdns-{VERSION}", "", f"python{platform.python_version()}").set(1)


class MetricsPage:
    """Everything that is measured, in the form that the visitor accepts."""

    def __init__(self, metrics: Metrics) -> None:
        self._plain = _Plain(metrics)

    def show(self, visit: Visit) -> Reply:
        """Write the page; called on a thread of the visitor's."""
        encode, kind = choose_encoder(visit.accept)
        return Reply(encode(self._plain), kind=kind)


class _Plain(Collector):
    """Metrics as CoreDNS would write them.

    Without the times at which counters were made, which would be a second series beside each, and
    with whole bounds of buckets as ``le="100"``, which rules may have been written for.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield one family after the other."""
        for metric in self._metrics.collect():
            metric.samples = [
                _bounded(sample)
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ]
            yield metric


def _bounded(sample: Sample) -> Sample:
    bound = sample.labels.get("le", "")
    if not bound.endswith(".0"):
        return sample
    return sample._replace(labels={**sample.labels, "le": bound.removesuffix(".0")})
