"""What is asked: of a cluster, of a list, of a log."""

import pytest

from kdns.compare.questions import of_list, of_log, of_store
from kdns.errors import UsageError
from kdns.kube.objects import Namespace
from kdns.zone.authority import Authority
from kdns.zone.settings import Settings
from tests.cluster import Cluster, endpoints, headless, service

LOG = """\
.:53
CoreDNS-1.14.7
linux/amd64, go1.26, 1234567
[INFO] 10.244.0.5:50759 - 29008 "A IN Example.org. udp 41 false 4096" NOERROR qr,rd,ra 68 0.03s
[INFO] 10.244.0.5:50760 - 29009 "A IN example.org. tcp 41 false 65535" NOERROR qr,rd,ra 68 0.03s
[pod/coredns-7d9/coredns] [INFO] [::1]:1 - 3 "SRV IN _http._tcp.web.default.svc.cluster.local. \
udp 50 true 1232" NXDOMAIN qr,aa,rd 143 0.0001s "0"
[INFO] 10.244.0.5:50761 - 29010 "HINFO IN 5.6. udp 41 false 4096" - - 0 2.0s
[INFO] 10.244.0.5:50761 - 29011 "TXT CH version.bind. udp 30 false 512" NOERROR qr,aa 60 0.0001s
[INFO] 10.244.0.5:50761 - 29012 "AXFR IN cluster.local. tcp 30 false 65535" REFUSED qr 30 0.001s
[ERROR] plugin/errors: 2 example.net. A: read udp 10.0.0.1:1->10.0.0.2:53: i/o timeout
"""


def test_a_log_gives_each_query_of_class_in_once() -> None:
    read = of_log(LOG, "queries.log")

    assert [str(one) for one in read.questions] == [
        "example.org. A",
        "_http._tcp.web.default.svc.cluster.local. SRV",
        "5.6. HINFO",
    ]
    assert read.passed_over == 6


def test_a_log_without_queries_is_an_error_that_shows_one() -> None:
    with pytest.raises(UsageError, match=r'empty\.log: no query in 2 lines, .*"A IN example'):
        of_log(".:53\nCoreDNS-1.14.7\n", "empty.log")


def test_a_list_has_a_name_and_perhaps_a_type_in_each_line() -> None:
    read = of_list("# names\nweb.default.svc.cluster.local\n\nExample.ORG. aaaa # v6\n", "names")

    assert [str(one) for one in read.questions] == [
        "web.default.svc.cluster.local. A",
        "example.org. AAAA",
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("a A extra", r"list:1: expected NAME \[TYPE\], got 'a A extra'", id="words"),
        pytest.param("a\nb NONE", "list:2: expected a type like A or SRV, got 'NONE'", id="type"),
        pytest.param("a AXFR", "list:1: expected a type like A or SRV, got 'AXFR'", id="transfer"),
        pytest.param("a..b", "list:1: 'a..b' is no name", id="name"),
        pytest.param("# nothing", "list: no names in it", id="empty"),
    ],
)
def test_a_line_that_cannot_be_asked_is_named(text: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        of_list(text, "list")


def test_a_cluster_gives_names_ports_endpoints_addresses_and_one_name_that_is_missing() -> None:
    cluster = Cluster(
        [
            Namespace("testns"),
            service("web", "10.96.0.80", "fd00::80"),
            headless("db"),
            endpoints("db", "10.244.0.1"),
        ]
    )
    read = of_store(cluster.store, Authority(Settings()))

    asked = {str(one) for one in read.questions}
    assert asked >= {
        "dns-version.cluster.local. TXT",
        "kdns-compare-nobody.testns.svc.cluster.local. A",
        "web.testns.svc.cluster.local. A",
        "web.testns.svc.cluster.local. AAAA",
        "_http._tcp.web.testns.svc.cluster.local. SRV",
        "80.0.96.10.in-addr.arpa. PTR",
        f"0.8.0.0.{'0.' * 24}0.0.d.f.ip6.arpa. PTR",
        "db.testns.svc.cluster.local. A",
        "10-244-0-1.db.testns.svc.cluster.local. A",
        "1.0.244.10.in-addr.arpa. PTR",
    }
    assert len(asked) == len(read.questions)
