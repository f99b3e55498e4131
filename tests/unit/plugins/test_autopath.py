"""The search list of a client, walked on the server."""

from pathlib import Path

import dns.message
import pytest
from msgspec.structs import replace

from kdns.chain import Answer, Plugin, Relay, Request, Response
from kdns.cluster import Cluster
from kdns.directives import kubernetes as kubernetes_block
from kdns.errors import CorefileError
from kdns.kube.changes import Apply, Init, InitDone
from kdns.kube.objects import Namespace, Object, Pod
from kdns.kube.store import KINDS
from kdns.plugins import autopath
from kdns.plugins.kubernetes import Kubernetes
from kdns.wire import codes, names, records
from kdns.wire.message import Sections
from tests.cluster import external, lines, rcode, service
from tests.plugin import answer, ask, block, directives, message, own, sample, setup_of

POD, OTHER, SHARED, STRANGER = "10.244.0.1", "10.244.0.2", "192.0.2.10", "192.0.2.99"
KUBERNETES = "kubernetes cluster.local {\npods verified\nmanifests -\n}"
OBJECTS: tuple[Object, ...] = (
    *map(Namespace, ("shop", "bank")),
    service("web", "10.0.0.1", namespace="shop"),
    service("vault", "10.0.0.2", namespace="bank"),
    external("mail", "mail.example.org", namespace="bank"),
    Pod("shop", "cart-0", ips=(POD, "fd00::1")),
    Pod("bank", "teller-0", ips=(OTHER,)),
    Pod("shop", "agent", ips=(SHARED,)),
    Pod("bank", "agent", ips=(SHARED,)),
)


async def upstream(request: Request) -> Response:
    """The rest of the world, which has one name."""
    query = request.query
    if query.name == names.from_text("www.example.org"):
        found = records.address(query.asked, 300, b"\xc0\0\x02\1")
        return Answer(Sections(answer=(found,)), by="forward")
    return Answer(Sections(codes.NXDOMAIN), by="forward")


def chain(text: str = "autopath @kubernetes", cluster: str = KUBERNETES) -> list[Plugin]:
    """autopath and kubernetes in one server block, with the objects of above."""
    made = block()
    plugin, _ = setup_of(autopath.setup, text, into=made)
    assert plugin is not None
    wanted = kubernetes_block.read(directives(cluster), made)
    followed, serial = kubernetes_block.follow(wanted, made)
    fill(followed)
    return [plugin, Kubernetes(followed.store, wanted.authority, serial)]


def fill(cluster: Cluster) -> None:
    for kind in KINDS:
        cluster.take(Init(kind))
        cluster.take(InitDone(kind))
    for item in OBJECTS:
        cluster.take(Apply(item))


def reply(asked: str, client: str, plugins: list[Plugin] | None = None) -> dns.message.Message:
    return ask(plugins or chain(), asked, client=client, last=upstream)


# Who asks, the name, and the answer: a CNAME to the name that was found, and what that has.
WALKS = {
    "in another namespace": (
        POD,
        "vault.bank.shop.svc.cluster.local.",
        {
            "vault.bank.shop.svc.cluster.local. 5 CNAME vault.bank.svc.cluster.local.",
            "vault.bank.svc.cluster.local. 5 A 10.0.0.2",
        },
    ),
    "outside the cluster": (
        POD,
        "www.example.org.shop.svc.cluster.local.",
        {
            "www.example.org.shop.svc.cluster.local. 300 CNAME www.example.org.",
            "www.example.org. 300 A 192.0.2.1",
        },
    ),
    "from the other address of a pod": (
        "fd00::1",
        "www.example.org.shop.svc.cluster.local.",
        {
            "www.example.org.shop.svc.cluster.local. 300 CNAME www.example.org.",
            "www.example.org. 300 A 192.0.2.1",
        },
    ),
    "in the case of the client": (
        POD,
        "Vault.Bank.Shop.svc.Cluster.local.",
        {
            "Vault.Bank.Shop.svc.Cluster.local. 5 CNAME Vault.Bank.svc.cluster.local.",
            "Vault.Bank.svc.cluster.local. 5 A 10.0.0.2",
        },
    ),
    "there at once": (
        POD,
        "web.shop.svc.cluster.local.",
        {"web.shop.svc.cluster.local. 5 A 10.0.0.1"},
    ),
}


@pytest.mark.parametrize(("client", "name", "expected"), WALKS.values(), ids=WALKS)
def test_a_pod_is_answered_at_once(client: str, name: str, expected: set[str]) -> None:
    answered = reply(f"{name} A", client)

    assert rcode(answered) == "NOERROR"
    assert lines(answered.answer) == expected
    assert answered.question[0].name.to_text() == name


# Nobody is taken for a pod that it may not be, and no name for a completed one.
PASSED = {
    "a client that is no pod": (STRANGER, "vault.bank.shop.svc.cluster.local."),
    "a pod of another namespace": (OTHER, "vault.bank.shop.svc.cluster.local."),
    "an address of pods of two namespaces": (SHARED, "vault.bank.shop.svc.cluster.local."),
    "the second search domain": (POD, "vault.bank.shop.cluster.local."),
    "a name in no namespace": (POD, "www.example.com.svc.cluster.local."),
    "the first search domain itself": (POD, "nowhere.svc.cluster.local."),
    "a name that is nowhere": (POD, "www.example.com.shop.svc.cluster.local."),
}


@pytest.mark.parametrize(("client", "name"), PASSED.values(), ids=PASSED)
def test_what_is_not_completed_is_answered_as_without(client: str, name: str) -> None:
    answered = reply(f"{name} A", client)

    assert rcode(answered) == "NXDOMAIN"
    assert lines(answered.authority) == lines(
        ask(chain()[1:], f"{name} A", client=client, last=upstream).authority
    )


def test_nodata_ends_the_walk_and_needs_no_alias() -> None:
    answered = reply("vault.bank.shop.svc.cluster.local. TXT", POD)

    assert rcode(answered) == "NOERROR"
    assert not answered.answer


def test_an_alias_that_is_found_comes_with_its_target() -> None:
    answered = reply("mail.bank.shop.svc.cluster.local. A", POD)

    assert rcode(answered) == "NXDOMAIN"  # that of the target, which upstream does not know
    assert lines(reply("mail.bank.shop.svc.cluster.local. CNAME", POD).answer) == {
        "mail.bank.shop.svc.cluster.local. 5 CNAME mail.bank.svc.cluster.local.",
        "mail.bank.svc.cluster.local. 5 CNAME mail.example.org.",
    }


def test_a_relayed_answer_is_found_too() -> None:
    async def relaying(request: Request) -> Response:
        response = await upstream(request)
        written = message(response, replace(request.query, id=0)).to_wire()
        return Relay(written, by="forward")

    answered = ask(chain(), "www.example.org.shop.svc.cluster.local. A", client=POD, last=relaying)

    assert lines(answered.answer) == {
        "www.example.org.shop.svc.cluster.local. 300 CNAME www.example.org.",
        "www.example.org. 300 A 192.0.2.1",
    }


@pytest.mark.parametrize(
    ("client", "name", "kept"),
    [
        pytest.param(POD, "web.shop.svc.cluster.local.", True, id="there for all"),
        pytest.param(POD, "vault.bank.shop.svc.cluster.local.", False, id="completed"),
        pytest.param(STRANGER, "vault.bank.shop.svc.cluster.local.", False, id="not completed"),
        pytest.param(POD, "vault.bank.cluster.local.", True, id="never completed"),
        pytest.param(POD, "nowhere.svc.cluster.local.", True, id="no namespace"),
    ],
)
def test_only_what_is_the_same_for_every_client_is_kept(client: str, name: str, kept: bool) -> None:
    response = own(answer(chain(), f"{name} A", client=client, last=upstream))

    assert bool(response.owners) is kept


def test_without_verified_pods_nothing_is_completed() -> None:
    plugins = chain(cluster="kubernetes cluster.local {\npods insecure\nmanifests -\n}")

    answered = reply("vault.bank.shop.svc.cluster.local. A", POD, plugins)

    assert rcode(answered) == "NXDOMAIN"


def test_without_kubernetes_nothing_is_completed() -> None:
    answered = reply("vault.bank.shop.svc.cluster.local. A", POD, chain()[:1])

    assert rcode(answered) == "NXDOMAIN"


def test_a_name_that_would_be_too_long_is_passed_over(tmp_path: Path) -> None:
    longest = ".".join(["x" * 63, "x" * 63, "x" * 63, "x" * 58])
    (tmp_path / "list").write_text(f"search a.test {longest} example.org\n")

    async def careful(request: Request) -> Response:
        assert len(request.query.name) <= names.MAX_NAME
        return await upstream(request)

    answered = ask(chain(f"autopath {tmp_path}/list"), "www.a.test. A", last=careful)

    assert "www.example.org. 300 A 192.0.2.1" in lines(answered.answer)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "list"
    path.write_text("# of the office\nnameserver 192.0.2.1\nsearch Office.test example.org\n")
    return str(path)


def test_a_file_is_the_list_of_every_client(file: str) -> None:
    answered = reply("www.office.test. A", STRANGER, chain(f"autopath {file}"))

    assert lines(answered.answer) == {
        "www.office.test. 300 CNAME www.example.org.",
        "www.example.org. 300 A 192.0.2.1",
    }


def test_the_name_is_tried_as_it_is_in_the_end(file: str) -> None:
    answered = reply("www.example.org.office.test. A", STRANGER, chain(f"autopath {file}"))

    assert "www.example.org. 300 A 192.0.2.1" in lines(answered.answer)


def test_other_zones_are_left_alone(file: str) -> None:
    answered = reply("www.office.test. A", STRANGER, chain(f"autopath example.com {file}"))

    assert rcode(answered) == "NXDOMAIN"


def test_what_another_domain_answered_is_counted(file: str) -> None:
    made = block()
    plugin, _ = setup_of(autopath.setup, f"autopath {file}", into=made)
    assert plugin is not None

    for name in ("www.office.test.", "www.office.test.", "none.office.test.", "www.example.org."):
        ask(plugin, f"{name} A", last=upstream)

    assert sample(made, "coredns_autopath_success_total", server="dns://:53") == 2


REFUSED = {
    "autopath": "expected at least one resolv.conf",
    "autopath @erratic": "expected @kubernetes or a file, got '@erratic'",
    "autopath /nowhere/list": "/nowhere/list: No such file or directory",
    "autopath @kubernetes {\nttl 5\n}": "no block",
    "autopath @kubernetes\nautopath @kubernetes": "once",
}


@pytest.mark.parametrize(("text", "why"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused(text: str, why: str) -> None:
    with pytest.raises(CorefileError) as error:
        setup_of(autopath.setup, text)

    assert why in str(error.value), str(error.value)


def test_a_file_without_a_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("nameserver 192.0.2.1\n")

    with pytest.raises(CorefileError, match="list has no search list"):
        setup_of(autopath.setup, f"autopath {tmp_path}/list")
