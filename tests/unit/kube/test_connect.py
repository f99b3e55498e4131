import json
from pathlib import Path

import pytest

from kdns.errors import UsageError
from kdns.kube.access import Access
from kdns.kube.connect import CutShort, configure, lines
from kdns.kube.exchange import List, Watch
from kdns.kube.resources import RUNNING_PODS, Selection, query, targets

STREAM = b"first\nsecond\n\nthird\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_lines_do_not_depend_on_how_they_were_cut(size: int) -> None:
    chunks = [STREAM[begin : begin + size] for begin in range(0, len(STREAM), size)]

    found = [bytes(line) for portion in lines(chunks) for line in portion]
    assert found == [b"first", b"second", b"third"]


def test_an_end_in_the_middle_of_a_line_is_told() -> None:
    cut = lines([b"first\nsec"])

    assert next(cut) == [b"first"]
    with pytest.raises(CutShort, match="a line of 3 bytes"):
        next(cut)


@pytest.mark.parametrize(
    ("content", "context"),
    [("", ""), ("{", ""), ("[]", ""), ("kind: Config", ""), ("{{}}", ""), (None, "other")],
)
def test_a_kubeconfig_of_no_use_is_named(tmp_path: Path, content: str | None, context: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(CONFIG) if content is None else content)

    with pytest.raises(UsageError, match=str(path)):
        configure(Access(str(path), context))
    with pytest.raises(UsageError, match="missing"):
        configure(Access(str(tmp_path / "missing")))


CONFIG = {
    "current-context": "here",
    "clusters": [{"name": "c", "cluster": {"server": "https://example.com:6443"}}],
    "users": [{"name": "u", "user": {"token": "secret"}}],
    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
}


def test_outside_a_pod_there_is_no_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(UsageError, match="service account: Service host/port is not set"):
        configure(Access(service_account=str(tmp_path)))


def test_in_a_pod_the_service_account_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "ca.crt").write_text("a certificate")

    found = configure(Access(service_account=str(tmp_path)))

    assert (found.host, found.ssl_ca_cert) == ("https://[fd00::1]:443", str(tmp_path / "ca.crt"))
    assert found.retries is False


def test_each_kind_has_one_collection_or_one_in_each_namespace() -> None:
    whole = [target.path for target in targets(Selection(pods=True, imports=True))]
    some = [target.path for target in targets(Selection(namespaces=("a", "b", "a")))]

    assert whole == [
        "/api/v1/namespaces",
        "/api/v1/services",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/api/v1/pods",
        "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports",
    ]
    assert some == [
        "/api/v1/namespaces",
        "/api/v1/namespaces/a/services",
        "/api/v1/namespaces/b/services",
        "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices",
        "/apis/discovery.k8s.io/v1/namespaces/b/endpointslices",
    ]


def test_selectors_go_where_they_belong() -> None:
    found = targets(Selection(labels="a=b", namespace_labels="c=d", pods=True))

    assert [target.labels for target in found] == ["c=d", "a=b", "a=b", "a=b"]
    assert [target.fields for target in found] == ["", "", "", RUNNING_PODS]


def test_parameters() -> None:
    [_, services, _] = targets(Selection(labels="a=b"))

    assert dict(query(services, List(500))) == {"limit": "500", "labelSelector": "a=b"}
    assert dict(query(services, List(500, "t"))) == {
        "limit": "500",
        "continue": "t",
        "labelSelector": "a=b",
    }
    assert dict(query(services, Watch("", 300, initial=True))) == {
        "labelSelector": "a=b",
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
