"""The names of directives: those of CoreDNS 1.14.7 in the order of its chain, and those of kdns.

The order is a contract: a query passes the plugins in it, however the Corefile has them.
"""

from kdns.corefile.syntax import Directive, ServerBlock
from kdns.corefile.values import fail, nearest

ORDER = (
    "root",
    "metadata",
    "geoip",
    "cancel",
    "proxyproto",
    "quic",
    "grpc_server",
    "https",
    "https3",
    "timeouts",
    "multisocket",
    "reload",
    "nsid",
    "bufsize",
    "bind",
    "debug",
    "trace",
    "ready",
    "health",
    "pprof",
    "shed",
    "prometheus",
    "errors",
    "log",
    "dnstap",
    "local",
    "dns64",
    "any",
    "chaos",
    "loadbalance",
    "tsig",
    "rewrite",
    "autopath",
    "acl",
    "cache",
    "header",
    "dnssec",
    "tls",
    "minimal",
    "template",
    "transfer",
    "hosts",
    "route53",
    "azure",
    "clouddns",
    "k8s_external",
    "kubernetes",
    "file",
    "auto",
    "secondary",
    "etcd",
    "loop",
    "forward",
    "grpc",
    "erratic",
    "whoami",
    "on",
    "sign",
    "view",
    "nomad",
)
"""The names in plugin.cfg of CoreDNS 1.14.7."""

KNOWN = frozenset(
    {
        "acl",
        "any",
        "autopath",
        "bind",
        "bufsize",
        "cache",
        "cancel",
        "chaos",
        "debug",
        "errors",
        "forward",
        "header",
        "health",
        "hosts",
        "kubernetes",
        "loadbalance",
        "local",
        "log",
        "loop",
        "minimal",
        "multisocket",
        "nsid",
        "prometheus",
        "ready",
        "reload",
        "rewrite",
        "root",
        "template",
        "timeouts",
        "whoami",
    }
)
"""What kdns has of them."""

_IMPORT = "import"
"""Grammar, no plugin; but a word that may have been meant."""


def check(block: ServerBlock) -> None:
    """Refuse the first directive of a block that kdns does not have."""
    for directive in block.directives:
        if directive.name.text not in KNOWN:
            _refuse(directive)


def _refuse(directive: Directive) -> None:
    word = directive.name.text
    if word in ORDER:
        fail(directive.name, f"directive {word!r} is one of CoreDNS, and kdns does not have it")
    near = nearest(word, sorted((*KNOWN, _IMPORT)))
    fail(directive.name, f"Unknown directive {word!r}{near}")
