"""A fake API server as a program, for a network namespace of its own.

It prints its URL and its token. At the first line of input it is down; at the end of input it ends.
"""

import json
import sys
from pathlib import Path

from kdns.testing.apiserver import FakeApiServer

WEB = {
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"clusterIP": "10.96.0.80", "ports": [{"port": 80}]},
}


def main() -> None:
    """Serve one Service."""
    with FakeApiServer() as server:
        server.apply({"kind": "Namespace", "metadata": {"name": "default"}})
        server.apply(WEB)
        [cluster] = json.loads(Path(server.kubeconfig()).read_text())["clusters"]
        sys.stdout.write(f"{cluster['cluster']['server']} {server.token}\n")
        sys.stdout.flush()
        sys.stdin.readline()
        with server.outage():
            sys.stdout.write("down\n")
            sys.stdout.flush()
            sys.stdin.read()


if __name__ == "__main__":
    main()
