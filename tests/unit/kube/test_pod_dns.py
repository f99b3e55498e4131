"""What a Pod says about its resolv.conf, from the API server and from manifests."""

from typing import Any

import msgspec
import pytest

from kdns.errors import ManifestError, UpstreamError
from kdns.kube.access import Access
from kdns.kube.fetch import fetch_pod
from kdns.kube.manifests.documents import parse
from kdns.kube.manifests.shapes import Template
from kdns.kube.objects import USUAL_DNS, Pod, PodDns
from kdns.kube.schema import PodShape
from kdns.testing import FakeApiServer

SPECS: dict[str, tuple[dict[str, Any], PodDns]] = {
    "nothing": ({}, USUAL_DNS),
    "what the API server fills in": ({"dnsPolicy": "ClusterFirst"}, USUAL_DNS),
    "no configuration": ({"dnsConfig": {}}, USUAL_DNS),
    "a policy": ({"dnsPolicy": "Default"}, PodDns("Default")),
    "the host's network": ({"hostNetwork": True}, PodDns(host_network=True)),
    "a configuration": (
        {
            "dnsPolicy": "None",
            "dnsConfig": {
                "nameservers": ["1.1.1.1"],
                "searches": ["a.test"],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
            },
        },
        PodDns("None", False, ("1.1.1.1",), ("a.test",), (("ndots", "2"), ("edns0", ""))),
    ),
}


@pytest.mark.parametrize(("spec", "expected"), SPECS.values(), ids=SPECS)
def test_from_the_api_server(spec: dict[str, Any], expected: PodDns) -> None:
    shape = msgspec.json.decode(msgspec.json.encode({"spec": spec}), type=PodShape)

    assert shape.trim().dns == expected


@pytest.mark.parametrize(("spec", "expected"), SPECS.values(), ids=SPECS)
def test_from_a_manifest(spec: dict[str, Any], expected: PodDns) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}

    (document,) = parse(msgspec.json.encode(pod), "a.json").documents

    assert isinstance(document.shape, PodShape)
    assert document.shape.trim().dns == expected


def test_a_policy_that_there_is_not_is_refused_in_a_manifest() -> None:
    text = b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  dnsPolicy: First\n"

    with pytest.raises(ManifestError, match=r"a.yaml:5: Pod: .*'First'"):
        parse(text, "a.yaml")


def test_the_usual_words_are_one_value_for_all_pods() -> None:
    assert PodShape().trim().dns is USUAL_DNS


def test_a_template_without_them_has_the_hash_that_it_had() -> None:
    assert b"dns" not in msgspec.json.encode(Template())
    assert b"hostNetwork" not in msgspec.json.encode(Template())


# -- asked for on its own -----------------------------------------------------------------------


def pod(name: str, **status: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"dnsPolicy": "Default"},
        "status": {"podIP": "10.1.0.1", **status},
    }


def test_one_pod_is_asked_for() -> None:
    with FakeApiServer() as server:
        server.apply(pod("other"))
        server.apply(pod("web-0"))
        access = Access(server.kubeconfig())

        found = fetch_pod(access, "shop", "web-0")

        assert isinstance(found, Pod)
        assert (found.name, found.ips, found.dns) == ("web-0", ("10.1.0.1",), PodDns("Default"))
        assert fetch_pod(access, "shop", "web-1") is None
        assert fetch_pod(access, "bank", "web-0") is None


def test_a_pod_that_has_ended_is_none() -> None:
    with FakeApiServer() as server:
        server.apply(pod("web-0", phase="Succeeded"))

        assert fetch_pod(Access(server.kubeconfig()), "shop", "web-0") is None


def test_a_refusal_is_told() -> None:
    with FakeApiServer() as server:
        server.forbid("Pod", "shop")

        with pytest.raises(UpstreamError, match=r"pod shop/web-0: the API server does not say: .+"):
            fetch_pod(Access(server.kubeconfig()), "shop", "web-0")


def test_an_outage_is_told() -> None:
    with FakeApiServer() as server:
        kubeconfig = server.kubeconfig()
        with server.outage(), pytest.raises(UpstreamError, match=r"pod shop/web-0: .*refused"):
            fetch_pod(Access(kubeconfig), "shop", "web-0")
