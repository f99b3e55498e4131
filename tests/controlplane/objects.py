"""Objects as a cluster has them, made over the API: nodes, namespaces, services, pods and grants.

Knows the objects' fields. Does not know DNS. There is no kubelet: a pod runs because we say so.
"""

from collections.abc import Mapping, Sequence

from tests.controlplane.client import MERGE, Client, Json, Refused

NODE = "node-1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
DNS_RULES: tuple[Json, ...] = (
    {
        "apiGroups": [""],
        "resources": ["endpoints", "services", "pods", "namespaces"],
        "verbs": ["list", "watch"],
    },
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["list", "watch"],
    },
)
NOT_FOUND = 404


def add_node(api: Client, name: str = NODE, labels: Mapping[str, str] | None = None) -> None:
    """Make a node, unless it exists; the slice controller skips pods whose node does not."""
    try:
        api.request("GET", f"/api/v1/nodes/{name}")
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        api.request("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})


def add_namespace(api: Client, name: str) -> Json:
    """Make a namespace."""
    return api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})


def add_service(api: Client, namespace: str, name: str, **spec: object) -> Json:
    """Make a Service that selects the pods with its name as their ``app``, unless told else."""
    usual: Json = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}
    body = {"metadata": {"name": name}, "spec": usual | spec}
    return api.request("POST", f"/api/v1/namespaces/{namespace}/services", body)


def add_pod(  # noqa: PLR0913 - these are what tests choose
    api: Client,
    namespace: str,
    name: str,
    address: str,
    *,
    app: str = "",
    node: str = NODE,
    ready: bool = True,
    **spec: object,
) -> Json:
    """Make a pod that runs at the address, and the node that it runs on."""
    add_node(api, node)
    usual: Json = {
        "nodeName": node,
        "containers": [{"name": "main", "image": "none"}],
        # Nobody would end it gracefully: deletion waits for a kubelet unless this is 0.
        "terminationGracePeriodSeconds": 0,
    }
    body = {"metadata": {"name": name, "labels": {"app": app or name}}, "spec": usual | spec}
    api.request("POST", f"/api/v1/namespaces/{namespace}/pods", body)
    return run_pod(api, namespace, name, address, ready=ready)


def run_pod(api: Client, namespace: str, name: str, address: str, *, ready: bool) -> Json:
    """Do what the kubelet does: say that the pod runs, where, and whether it is ready."""
    condition = {"type": "Ready", "status": str(ready)}
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [condition],
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
    return api.request("PATCH", path, {"status": status}, MERGE)


def slices(api: Client, namespace: str, service: str) -> list[Json]:
    """Return the EndpointSlices of a Service."""
    query = f"labelSelector=kubernetes.io/service-name%3D{service}"
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?{query}"
    found: list[Json] = api.request("GET", path)["items"]
    return found


def ready_addresses(api: Client, namespace: str, service: str) -> list[str]:
    """Return the sorted addresses of the Service's ready endpoints."""
    endpoints = [e for s in slices(api, namespace, service) for e in s["endpoints"] or ()]
    return sorted(a for e in endpoints if e["conditions"]["ready"] for a in e["addresses"])


def grant(api: Client, user: str, rules: Sequence[Json] = DNS_RULES) -> None:
    """Allow the user to do what the rules say, in every namespace."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    meta = {"name": user}
    api.request("POST", f"{RBAC}/clusterroles", {"metadata": meta, "rules": rules})
    binding = {"metadata": meta, "roleRef": role, "subjects": [subject]}
    api.request("POST", f"{RBAC}/clusterrolebindings", binding)


def revoke(api: Client, user: str) -> None:
    """Take back what ``grant`` gave."""
    api.request("DELETE", f"{RBAC}/clusterrolebindings/{user}")
    api.request("DELETE", f"{RBAC}/clusterroles/{user}")
