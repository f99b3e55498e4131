"""The control plane that the tests start, built from the module beside this file.

``python -m tests.controlplane.build`` builds what is missing and prints the folder.
``KUBEBUILDER_ASSETS``, where set, is the folder that is used instead.
"""

import os
import sys
from pathlib import Path

from tests.gobuild import Module, NotBuilt, main, missing

SERVERS = ("etcd", "kube-apiserver")
MODULE = Module(
    "controlplane",
    Path(__file__).parent,
    (*SERVERS, "kube-controller-manager", "kube-proxy"),
    minutes=10,
    # Without these the server says that it is v0.0.0.
    versioned_by="k8s.io/kubernetes",
    version_packages=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
)


def programs() -> Path:
    """Return the folder of the programs, or raise ``NotBuilt``; never builds."""
    return given() or MODULE.find()


def build() -> Path:
    """Build what is missing and return the folder of the programs."""
    return given() or MODULE.build()


def given() -> Path | None:
    """Return the folder that the environment names; raise ``NotBuilt`` when it lacks a server."""
    name = os.environ.get("KUBEBUILDER_ASSETS")
    if not name:
        return None
    if lacking := missing(Path(name), SERVERS):
        raise NotBuilt(f"KUBEBUILDER_ASSETS={name} has no {', '.join(lacking)}")
    return Path(name)


if __name__ == "__main__":
    sys.exit(main(build))
