"""The option sets: the server blocks that both servers are given. Knows Corefiles, no objects."""

from dataclasses import dataclass

CLUSTER = ("cluster.local", "in-addr.arpa", "ip6.arpa")
REVERSE = "in-addr.arpa ip6.arpa"


@dataclass(frozen=True)
class OptionSet:
    """One server block, apart from its port."""

    name: str
    kubernetes: tuple[str, ...] = ()
    """Lines of the ``kubernetes`` block."""
    zones: tuple[str, ...] = CLUSTER
    origins: tuple[str, ...] = CLUSTER
    """What the zones stand for: the same, but for CIDRs."""
    others: tuple[str, ...] = ()
    """Lines beside the ``kubernetes`` block; they may hold ``{upstream}``, an address and port."""
    also: tuple[str, ...] = ()
    """Questions that these lines are about: name, type, and class if it is not IN."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Ends of names that these lines make into others."""

    @property
    def forwards(self) -> bool:
        """Whether there is an upstream."""
        return any(line.startswith("forward ") for line in self.others)

    @property
    def caches(self) -> bool:
        """Whether TTLs count down."""
        return any(line.startswith("cache ") for line in self.others)

    def has_line(self, line: str) -> bool:
        """Whether this is a line beside the ``kubernetes`` block."""
        return line in self.others

    def has(self, line: str) -> bool:
        """Whether an option is set, by its first words."""
        return any(have == line or have.startswith(f"{line} ") for have in self.kubernetes)

    def block(self, port: int, ready: int, kubeconfig: str, upstream: str, *more: str) -> str:
        """Write the server block; ``more`` are further lines of the ``kubernetes`` block."""
        inner = (f"kubeconfig {kubeconfig}", *self.kubernetes, *more)
        lines = [
            "bind 127.0.0.1",
            f"ready 127.0.0.1:{ready}",
            *(line.replace("{upstream}", upstream) for line in self.others),
            f"kubernetes {' '.join(self.zones)} {{",
            *(f"    {line}" for line in inner),
            "}",
        ]
        return "\n".join((f".:{port} {{", *(f"    {line}" for line in lines), "}", ""))


FORWARD = ("forward . {upstream}",)
KUBEADM = ("pods insecure", f"fallthrough {REVERSE}", "ttl 30")

OPTION_SETS = (
    OptionSet("bare"),
    OptionSet(
        "kubeadm",
        KUBEADM,
        others=(
            *FORWARD,
            "cache 30 {",
            "    disable success cluster.local",
            "    disable denial cluster.local",
            "}",
            "loadbalance",
        ),
    ),
    OptionSet("k3s", (KUBEADM[0], KUBEADM[1]), others=(*FORWARD, "cache 30", "loadbalance")),
    OptionSet("fallthrough", ("fallthrough", "pods insecure"), others=FORWARD),
    OptionSet("fallthrough-nowhere", ("fallthrough", "pods verified")),
    OptionSet("upstream", ("pods verified", "ttl 0"), others=FORWARD),
    OptionSet("verified", ("pods verified", "endpoint_pod_names", "ttl 3600")),
    OptionSet("insecure", ("pods insecure", "endpoint_pod_names", "ttl 1")),
    OptionSet("namespaces", ("namespaces shop kube-system ghost", "pods insecure")),
    OptionSet("namespace-labels", ("namespace_labels team=shop", "pods verified")),
    OptionSet("labels", ("labels tier=front", "pods insecure")),
    OptionSet("noendpoints", ("noendpoints", "pods insecure")),
    OptionSet("empty-service", ("ignore empty_service",)),
    OptionSet("zonal", ("zonal", "pods insecure")),
    OptionSet(
        "multicluster",
        ("multicluster clusterset.local", "pods insecure"),
        zones=("clusterset.local", *CLUSTER),
        origins=("clusterset.local", *CLUSTER),
    ),
    OptionSet(
        "cidrs",
        zones=("cluster.local", "10.96.0.0/12", "172.17.0.0/23", "fd00:10::/32"),
        origins=(
            "cluster.local",
            *(f"{number}.10.in-addr.arpa" for number in range(96, 112)),
            "0.17.172.in-addr.arpa",
            "1.17.172.in-addr.arpa",
            "0.1.0.0.0.0.d.f.ip6.arpa",
        ),
    ),
    OptionSet(
        "nested",
        ("pods insecure",),
        zones=("sub.cluster.local", "cluster.local", "example", "17.172.in-addr.arpa"),
        origins=("sub.cluster.local", "cluster.local", "example", "17.172.in-addr.arpa"),
    ),
    OptionSet(
        "hosts",
        KUBEADM,
        others=(
            *FORWARD,
            "hosts {",
            "    192.0.2.50 www.hosts.test alias.hosts.test",
            "    2001:db8::50 www.hosts.test",
            "    10.9.9.9 web.shop.svc.cluster.local",
            "    ttl 77",
            "    fallthrough",
            "}",
        ),
        also=(
            "www.hosts.test A",
            "www.hosts.test AAAA",
            "www.hosts.test MX",
            "alias.hosts.test AAAA",
            "nothing.hosts.test A",
            "50.2.0.192.in-addr.arpa PTR",
            "9.9.9.10.in-addr.arpa PTR",
            "WEB.shop.svc.cluster.local A",
            "web.shop.svc.cluster.local SRV",
        ),
    ),
    OptionSet(
        "rewrite",
        KUBEADM,
        others=(
            *FORWARD,
            "rewrite stop name exact old.test web.shop.svc.cluster.local",
            "rewrite stop name suffix .alias.test .shop.svc.cluster.local answer auto",
            "rewrite stop name regex (.*)[.]regex[.]test {1}.shop.svc.cluster.local",
            "rewrite stop type HINFO A",
            "rewrite stop ttl exact dual.shop.svc.cluster.local 5-10",
        ),
        renamed=(
            ("old.test", "web.shop.svc.cluster.local"),
            ("alias.test", "shop.svc.cluster.local"),
            ("regex.test", "shop.svc.cluster.local"),
        ),
        also=(
            "old.test A",
            "Old.Test SRV",
            "web.alias.test A",
            "db.alias.test SRV",
            "many.ALIAS.test AAAA",
            "outside.alias.test A",
            "web.regex.test A",
            "web.shop.svc.cluster.local HINFO",
            "dual.shop.svc.cluster.local A",
        ),
    ),
    OptionSet(
        "template",
        KUBEADM,
        others=(
            *FORWARD,
            "template IN A template.test {",
            '    match "^(?P<n>[0-9]+)[.]template[.]test[.]$"',
            '    answer "{{ .Name }} 60 IN A 192.0.2.{{ .Group.n }}"',
            '    authority "template.test. 60 IN NS ns.template.test."',
            "    fallthrough",
            "}",
            "template IN ANY nothing.test {",
            "    rcode NXDOMAIN",
            '    authority "nothing.test. 60 IN SOA ns.nothing.test. root.nothing.test. 1 2 3 4 5"',
            "}",
        ),
        also=(
            "7.template.test A",
            "8.Template.Test A",
            "7.template.test AAAA",
            "x.template.test A",
            "www.nothing.test A",
            "nothing.test MX",
        ),
    ),
    OptionSet(
        "small",
        KUBEADM,
        others=(
            *FORWARD,
            "any",
            "minimal",
            "chaos differential-1 somebody another",
            "acl {",
            "    filter type MX net 127.0.0.0/8",
            "    block type NAPTR net *",
            "}",
        ),
        also=(
            "version.bind TXT CH",
            "version.server TXT CH",
            "authors.bind TXT CH",
            "hostname.bind TXT HS",
            "web.shop.svc.cluster.local ANY",
            "web.shop.svc.cluster.local MX",
            "web.shop.svc.cluster.local NAPTR",
            "many.shop.svc.cluster.local SRV",
            "example.org ANY",
            "chain.example.org TXT",
            "example.org NS",
        ),
    ),
    OptionSet(
        "header",
        KUBEADM,
        others=(
            *FORWARD,
            "header {",
            "    response set ra",
            "    response clear aa",
            "    query clear rd",
            "}",
            "bufsize 1100",
        ),
    ),
)
