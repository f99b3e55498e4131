"""The options of a cluster zone in one place: name, type, default, bounds, meaning.

The defaults are those of an empty ``kubernetes`` block in a Corefile. Knows no Corefile.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

MAX_TTL = 3600


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be set about the zones of a cluster."""

    zones: Annotated[
        tuple[str, ...],
        Meta(description="Zones that are answered for; CIDRs stand for their reverse zones."),
    ] = ("cluster.local",)
    ttl: Annotated[
        int, Meta(ge=0, le=MAX_TTL, description="TTL of every record but dns-version, in seconds.")
    ] = 5
    pods: Annotated[
        Literal["disabled", "insecure", "verified"],
        Meta(description="Whether 10-244-0-7.default.pod names resolve, and on what evidence."),
    ] = "disabled"
    endpoint_pod_names: Annotated[
        bool, Meta(description="Name endpoints without a hostname after their pod.")
    ] = False
    noendpoints: Annotated[bool, Meta(description="Serve no headless and no endpoint names.")] = (
        False
    )
    ignore_empty_service: Annotated[
        bool, Meta(description="NXDOMAIN for a ClusterIP service without a ready endpoint.")
    ] = False
    namespaces: Annotated[
        tuple[str, ...], Meta(description="Serve only these namespaces; all when empty.")
    ] = ()
    namespace_labels: Annotated[
        str, Meta(description="Serve only namespaces that match this label selector.")
    ] = ""
    labels: Annotated[
        str, Meta(description="Serve only Services, EndpointSlices and Pods that match.")
    ] = ""
    zonal: Annotated[
        bool, Meta(description="Serve <zone>.pin._zone and <zone>.prefer._zone names.")
    ] = False
    multicluster: Annotated[
        tuple[str, ...], Meta(description="Which of the zones serve ServiceImports (KEP-1645).")
    ] = ()
    fallthrough: Annotated[
        tuple[str, ...] | None,
        Meta(description="Zones whose missing names go to the next plugin; all when empty."),
    ] = None
    short_names: Annotated[
        bool, Meta(description="Answer <svc>.<ns>.<zone> besides <svc>.<ns>.svc.<zone>.")
    ] = True
    search: Annotated[
        tuple[str, ...], Meta(description="Domains that complete names outside every zone.")
    ] = ()
    compat: Annotated[
        bool, Meta(description="Answer as CoreDNS does where it deviates from the specification.")
    ] = False

    @property
    def short(self) -> bool:
        """Whether the short form of service names is served; compat implies not."""
        return self.short_names and not self.compat


def problems(settings: Settings) -> list[str]:
    """Say what cannot be meant by these settings together, in words for their author."""
    found: list[str] = []
    if settings.zonal and settings.noendpoints:
        found.append("zonal needs endpoints: it cannot stand with noendpoints")
    if settings.namespaces and settings.namespace_labels:
        found.append("namespaces and namespace_labels exclude one another")
    if strangers := set(settings.multicluster) - set(settings.zones):
        found.append(f"multicluster {' '.join(sorted(strangers))}: not among the zones")
    return found
