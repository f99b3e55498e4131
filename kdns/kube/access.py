"""How to get at an API server. Reads nothing, sends nothing, knows no DNS."""

from msgspec import Struct


class Access(Struct, frozen=True):
    """How to get at the API server."""

    kubeconfig: str = ""
    """Path of a kubeconfig; empty for the service account of the pod."""
    context: str = ""
    """Context of the kubeconfig; empty for its current one."""
    service_account: str = "/var/run/secrets/kubernetes.io/serviceaccount"
    connect_timeout: float = 5.0
    read_timeout: float = 90.0
    """Longest silence on a connection. Bookmarks come every minute."""
    endpoint: str = ""
    """URL of the API server, where there is no kubeconfig."""
    tls: tuple[str, str, str] = ("", "", "")
    """Paths of certificate, key and CA certificate for ``endpoint``; empty for none."""

    @property
    def place(self) -> str:
        """Say where the configuration comes from."""
        if self.kubeconfig:
            return f"kubeconfig {self.kubeconfig}"
        return f"endpoint {self.endpoint}" if self.endpoint else "service account"
