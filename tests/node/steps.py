"""What is shown on the cluster, in order. Each step leaves the cluster as the next expects it."""

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import yaml

from tests.controlplane.client import Json
from tests.manifests.applying import kubeadm, one
from tests.node import machine
from tests.node.cluster import DNS, DOMAIN, EXTERNAL
from tests.node.images import COREDNS
from tests.node.session import CLIENTS, CTR, NAMESPACE, Session

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "manifests/overlays"
OBJECTS = Path(__file__).parent / "objects"
STATUS = ("Name", "Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
LOCAL = "169.254.20.10"
TRIAL = "kdns-trial"
SYSTEM = ("-n", "kube-system")
NO_NAMES = ("nosuch", "nosuch.example.com")
NOT_FOUND = {"glibc": "not found", "musl": "Name does not resolve", "go": "no such host"}
KDNS_IMAGE = "kdns:0.1.0"
UNLIMITED = "net.ipv4.icmp_ratemask=6160"
"""The default, without "destination unreachable"."""
TIMEOUT = 5.0
"""Seconds after which clients ask again, resolv.conf(5)."""
REPORTED_WITHIN = 15.0
"""Seconds, more than kubelet, the controllers and kube-proxy need when all is quiet."""
SNAPSHOT = "/var/lib/kdns/cluster.snapshot"


def node_is_ready(at: Session) -> None:
    """Node: kubelet on containerd, Ready."""

    def ready() -> bool:
        conditions = [
            one for node in at.get("nodes")["items"] for one in node["status"]["conditions"]
        ]
        return ("Ready", "True") in [(one["type"], one["status"]) for one in conditions]

    at.wait("the node is Ready", ready)
    at.kubectl("get", "nodes", "-o", "wide")
    at.on_node("ip", "-brief", "addr")
    at.on_node("ip", "route")


def coredns_runs(at: Session) -> None:
    """The start: CoreDNS as kubeadm installs it."""
    items = kubeadm()
    container = one(items, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    at.say(f"kubeadm's manifest, with the image that there is here: {COREDNS}")
    container["image"] = COREDNS
    file = at.cluster.folder / "kubeadm.yaml"
    file.write_text(yaml.safe_dump_all(items))
    at.apply("--field-manager=kubeadm", "-f", str(file))
    at.rolled_out("deployment/coredns")
    at.apply("-f", str(OBJECTS / "trial.yaml"))
    at.rolled_out("deployment/web", NAMESPACE)
    at.rolled_out("statefulset/db", NAMESPACE)
    for pod in CLIENTS:
        at.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=180s")
    at.kubectl("get", "pods", "-A", "-o", "wide")


def kubelet_writes_resolv_conf(at: Session) -> None:
    """resolv.conf: the pods' is kubelet's."""
    text = at.inside("glibc", "cat", "/etc/resolv.conf").text
    search = " ".join(f"{part}{DOMAIN}" for part in (f"{NAMESPACE}.svc.", "svc.", ""))
    at.check(f"search {search}", f"search {search}\n" in text)
    at.check(f"nameserver {DNS}", f"nameserver {DNS}\n" in text)
    at.check("ndots:5", "options ndots:5" in text)


def clients_resolve(at: Session) -> None:
    """Names: asked by glibc, musl and Go."""
    web = at.get(*("-n", NAMESPACE), "service", "web")["spec"]["clusterIP"]
    db = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in _pods(at, "app=db")}
    expected = {
        "web": {web},
        f"web.{NAMESPACE}": {web},
        f"web.{NAMESPACE}.svc": {web},
        f"web.{NAMESPACE}.svc.{DOMAIN}": {web},
        f"web.{NAMESPACE}.svc.{DOMAIN}.": {web},
        "kubernetes.default": {"10.96.0.1"},
        "db": set(db.values()),
        "db-1.db": {db["db-1"]},
        "payments": {EXTERNAL},
        "www.example.com": {EXTERNAL},
    }
    for client in CLIENTS:
        came = at.addresses(client, [*expected, *NO_NAMES])
        for name, wanted in expected.items():
            right = set(came[name].split()) == wanted
            at.check(f"{client}: {name} is {' '.join(sorted(wanted))}", right)
        for name in NO_NAMES:
            at.check(f"{client}: {name} is no name", NOT_FOUND[client] in came[name])


def dig_and_curl(at: Session) -> None:
    """SRV, PTR, own names, curl."""
    web = at.get(*("-n", NAMESPACE), "service", "web")["spec"]["clusterIP"]
    db0 = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in _pods(at, "app=db")}["db-0"]
    full = f"{NAMESPACE}.svc.{DOMAIN}."
    for words, wanted in (
        (("_http._tcp.web", "SRV", "+search"), f"0 100 80 web.{full}"),
        ((f"_sql._tcp.db.{full}", "SRV"), f"0 50 5432 db-0.db.{full}"),
        (("-x", web), f"web.{full}"),
        (("-x", db0), f"db-0.db.{full}"),
        ((f"{db0.replace('.', '-')}.{NAMESPACE}.pod.{DOMAIN}", "A"), db0),
        (("payments", "CNAME", "+search"), "api.payments.example.com."),
        ((f"web.{full}", "A", "+tcp"), web),
    ):
        came = at.inside("glibc", "dig", "+short", *words).text.splitlines()
        at.check(f"dig {' '.join(words)}: {wanted}", wanted in came)
    own = at.inside("db-0", "sh", "-c", "dig +short +search $(hostname).db; hostname -f").text
    at.check("a pod finds itself by its own name", own.split() == [db0, f"db-0.db.{full}"[:-1]])
    at.check(
        "getent hosts ADDRESS", at.inside("glibc", "getent", "hosts", web).text.split()[0] == web
    )
    page = at.inside("glibc", "curl", "--silent", "--show-error", "http://web/").text
    at.check("curl http://web/", page.startswith("this is web-"))


def beside(at: Session) -> None:
    """Overlay `beside`: a trial, compared with CoreDNS, and taken away."""
    at.apply("-k", str(OVERLAYS / "beside"))
    at.rolled_out("deployment/kdns", TRIAL)
    words = ("dig", f"@kdns.{TRIAL}.svc.{DOMAIN}", "+short", f"kubernetes.default.svc.{DOMAIN}")
    # kube-proxy needs a moment.
    at.wait("the Service answers", lambda: at.inside("glibc", *words).text == "10.96.0.1\n")
    address = at.get("-n", TRIAL, "service", "kdns")["spec"]["clusterIP"]
    command = (
        "compare",
        "--with",
        DNS,
        "--server",
        address,
        "--kubeconfig",
        str(at.cluster.config),
    )
    compared = at.on_node(sys.executable, "-m", "kdns", *command)
    at.check("nothing that matters differs", compared.status == 0)
    at.kubectl("delete", "-k", str(OVERLAYS / "beside"))


def only_the_image(at: Session) -> None:
    """Only the image: `kubectl set image`, under load."""
    with at.stream():
        at.kubectl(*SYSTEM, "set", "image", "deployment/coredns", f"coredns={KDNS_IMAGE}")
        at.rolled_out("deployment/coredns")
        _until_gone(at, "k8s-app=kube-dns", COREDNS)
    at.kubectl(*SYSTEM, "get", "pods", "-o", "wide")
    at.kubectl(*SYSTEM, "logs", "deployment/coredns")
    clients_resolve(at)
    dig_and_curl(at)


def image_undone(at: Session) -> None:
    """Back to CoreDNS: `kubectl rollout undo`, under load."""
    with at.stream():
        at.kubectl(*SYSTEM, "rollout", "undo", "deployment/coredns")
        at.rolled_out("deployment/coredns")
        _until_gone(at, "k8s-app=kube-dns", KDNS_IMAGE)
    at.kubectl(*SYSTEM, "get", "pods", "-o", "wide")


def replaced(at: Session) -> None:
    """Overlay `replace`: a Deployment of its own, then CoreDNS to none, under load."""
    with at.stream():
        at.apply("-k", str(OVERLAYS / "replace"))
        at.rolled_out("deployment/kdns")
        at.kubectl(*SYSTEM, "scale", "deployment/coredns", "--replicas=0")
        _until_gone(at, "k8s-app=kube-dns", COREDNS)
    at.kubectl(*SYSTEM, "get", "pods", "-o", "wide")
    at.kubectl(*SYSTEM, "get", "endpointslices", "-o", "wide")
    at.kubectl(*SYSTEM, "logs", "deployment/kdns")
    clients_resolve(at)
    dig_and_curl(at)


def restricted(at: Session) -> None:
    """Security context: as the kernel and kubelet see it."""
    pod = _pods(at, "app.kubernetes.io/name=kdns", "kube-system")[0]
    name = pod["metadata"]["name"]
    # From the node: there is nothing in the image that could look.
    process = at.process(name, "kdns")
    status = dict(line.split(":\t", 1) for line in _lines(process / "status"))
    at.say("  | " + ", ".join(f"{key} {status[key]}" for key in STATUS))
    at.check(
        "user and group 65532", status["Uid"].split() == status["Gid"].split() == ["65532"] * 4
    )
    at.check("NET_BIND_SERVICE and nothing else", int(status["CapBnd"], 16) == 1 << 10)
    at.check("no new privileges", status["NoNewPrivs"] == "1")
    at.check("seccomp filters", status["Seccomp"] == "2")
    mounts = [line.split() for line in _lines(process / "mountinfo")]
    at.check(
        "the root is read-only", [row[5].split(",")[0] for row in mounts if row[4] == "/"] == ["ro"]
    )
    token = [row[5] for row in mounts if row[4].endswith("/kubernetes.io/serviceaccount")]
    at.check("the account's token is mounted, read-only", [one[:2] for one in token] == ["ro"])
    [group] = [line.split(":")[2] for line in _lines(process / "cgroup") if ":memory:" in line]
    limit = Path(f"/sys/fs/cgroup/memory{group}/memory.limit_in_bytes").read_text().strip()
    at.check(f"the memory limit is the control group's, {limit}", int(limit) == 250 << 20)
    probes = [event for event in _events(at, name) if event["reason"] == "Unhealthy"]
    late = [event["message"] for event in probes if "Readiness" not in event["message"]]
    at.check("no liveness probe failed", not late)
    at.check("no container restarted", pod["status"]["containerStatuses"][0]["restartCount"] == 0)


def scaled(at: Session) -> None:
    """Scaling: 1, 3, 1, under load."""
    _scale(at, 1)
    with at.stream():
        _scale(at, 3)
        _scale(at, 1)
    _scale(at, 2)


def restarted(at: Session) -> None:
    """Rollout restart: under load."""
    with at.stream():
        at.kubectl(*SYSTEM, "rollout", "restart", "deployment/kdns")
        at.rolled_out("deployment/kdns")
        at.wait("the old pods are gone", lambda: len(_kdns_pods(at)) == 2)


def snapshot(at: Session) -> None:
    """Snapshot: the API server is down, the containers are killed, and kdns answers."""
    # `kubectl scale` owns the number of replicas since.
    at.apply("--force-conflicts", "-k", str(ROOT / "manifests/base"))
    at.rolled_out("deployment/kdns")
    at.wait("the old pods are gone", lambda: len(_kdns_pods(at)) == 2)
    pods = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in _kdns_pods(at)}
    for pod in pods:
        # It is written once a minute at most.
        at.wait(f"{pod} has a snapshot", partial(_has_snapshot, at, pod))
    at.say("SIGKILL to kube-apiserver")
    at.cluster.plane.kill_api_server()
    try:
        _answers_alone(at, pods)
        with at.stream():
            at.say("kube-apiserver starts again")
            at.cluster.plane.start_api_server()
            at.rolled_out("deployment/kdns")
            # What kubelet says of the pods comes at its next report.
            at.wait("all pods are ready, and stay so", partial(_stay_ready, at, time.monotonic()))
    finally:
        if not at.cluster.plane.answers():
            at.cluster.plane.start_api_server()
    at.kubectl("-n", NAMESPACE, "create", "service", "clusterip", "late", "--tcp=80")
    at.wait("a Service that is new has its name", lambda: _found(at, "late"))
    at.kubectl(*SYSTEM, "logs", f"pod/{min(pods)}")


def _answers_alone(at: Session, pods: Mapping[str, str]) -> None:
    """Kill kdns's containers, and ask each, and the Service, from the container of a client."""
    [client] = at.containers("glibc", "client")
    for pod, address in pods.items():
        _kill_container(at, pod)
        at.wait(f"it answers at {address}", partial(_dig, at, client, f"@{address}"))
    for _ in range(5):
        at.check(f"so does {DNS}", _dig(at, client, f"@{DNS}"))


def _dig(at: Session, container: str, server: str) -> bool:
    return at.ask_alone(container, server).startswith("10.96.")


def node_local(at: Session) -> None:
    """Overlay `node-local`: a cache on the node, and what happens without it."""
    at.on_node("ip", "link", "show", machine.LINK_LOCAL)
    at.apply("-k", str(OVERLAYS / "node-local"))
    at.rolled_out("daemonset/kdns-node-local")
    at.kubectl(*SYSTEM, "get", "pods", "-o", "wide")
    at.on_node("ip", "-brief", "addr", "show", "dev", machine.LINK_LOCAL)
    at.say(f"kubelet starts again with clusterDNS: [{LOCAL}, {DNS}]")
    at.cluster.start_kubelet([LOCAL, DNS])
    at.kubectl("-n", NAMESPACE, "delete", "pod", *CLIENTS)
    at.apply("-f", str(OBJECTS / "trial.yaml"))
    for pod in CLIENTS:
        at.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=180s")
    text = at.inside("glibc", "cat", "/etc/resolv.conf").text
    at.check("both nameservers", f"nameserver {LOCAL}\nnameserver {DNS}\n" in text)
    came = at.inside("glibc", "dig", "+search", "web").text
    at.check(f"dig asked {LOCAL}", f"SERVER: {LOCAL}#53" in came)
    clients_resolve(at)
    dig_and_curl(at)
    metrics = f"curl --silent http://{LOCAL}:9253/metrics | grep ^coredns_dns_requests_total"
    at.check("it counted them", not at.on_node("sh", "-c", metrics).status)


def node_local_taken_away(at: Session) -> None:
    """Overlay `node-local`, taken away: clients go on to the second server."""
    at.kubectl("delete", "-k", str(OVERLAYS / "node-local"))
    at.wait("nothing listens there", lambda: f"{LOCAL}:53" not in at.on_node("ss", "-lnuH").text)
    for client in CLIENTS:
        at.wait(f"{client} has all answers", partial(_resolves, at, client))
    clients_resolve(at)
    at.say("the kernel refuses once a second for each client (icmp_ratelimit, icmp(7)); now always")
    at.on_node("sysctl", "-w", UNLIMITED)
    for client in CLIENTS:
        started = time.monotonic()
        answered = _resolves(at, client)
        took = time.monotonic() - started
        at.check(f"{client} has all answers, at once: {took:.1f} s", answered and took < TIMEOUT)


STEPS: tuple[Callable[[Session], None], ...] = (
    node_is_ready,
    coredns_runs,
    kubelet_writes_resolv_conf,
    clients_resolve,
    dig_and_curl,
    beside,
    only_the_image,
    image_undone,
    replaced,
    restricted,
    scaled,
    restarted,
    snapshot,
    node_local,
    node_local_taken_away,
)


def _scale(at: Session, replicas: int) -> None:
    at.kubectl(*SYSTEM, "scale", "deployment/kdns", f"--replicas={replicas}")
    at.rolled_out("deployment/kdns")
    at.wait(f"there are {replicas} pods", lambda: len(_kdns_pods(at)) == replicas)


def _resolves(at: Session, client: str) -> bool:
    """Ask for one name ten times in a row, without a pause."""
    names = [f"web.{NAMESPACE}.svc.{DOMAIN}."] * 10
    lines = at.inside(client, "/resolve", *names).text.splitlines()
    return [line.startswith(f"{names[0]}: 10.96.") for line in lines] == [True] * 10


def _kill_container(at: Session, pod: str) -> None:
    [before] = at.containers(pod, "kdns")
    at.on_node(*CTR, "tasks", "kill", "--signal", "SIGKILL", before)
    at.wait(f"kubelet has started {pod}'s container again", lambda: _replaced(at, pod, before))


def _has_snapshot(at: Session, pod: str) -> bool:
    return (at.process(pod, "kdns") / f"root{SNAPSHOT}").exists()


def _stay_ready(at: Session, since: float) -> bool:
    statuses = [pod["status"]["containerStatuses"][0] for pod in _kdns_pods(at)]
    return all(one["ready"] for one in statuses) and time.monotonic() - since > REPORTED_WITHIN


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def _found(at: Session, name: str) -> bool:
    return at.addresses("glibc", [name])[name] != NOT_FOUND["glibc"]


def _replaced(at: Session, pod: str, before: str) -> bool:
    now = at.containers(pod, "kdns")
    return bool(now) and before not in now


def _until_gone(at: Session, selector: str, image: str) -> None:
    """Wait until no pod of an image is left, those that end included."""

    def gone() -> bool:
        pods = _pods(at, selector, "kube-system")
        return not any(pod["spec"]["containers"][0]["image"] == image for pod in pods)

    at.wait(f"no pod of {image} is left", gone)


def _kdns_pods(at: Session) -> list[Json]:
    return _pods(at, "app.kubernetes.io/name=kdns", "kube-system")


def _pods(at: Session, selector: str, namespace: str = NAMESPACE) -> list[Json]:
    items: list[Json] = at.get("-n", namespace, "pods", "-l", selector)["items"]
    return items


def _events(at: Session, pod: str) -> list[Json]:
    words = ("events", "--field-selector", f"involvedObject.name={pod}")
    items: list[Json] = at.get(*SYSTEM, *words)["items"]
    return items
