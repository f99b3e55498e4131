"""The programs of a node, built from the module beside this file.

``python -m tests.node.build`` builds what is missing and prints the folder.
"""

import sys
from pathlib import Path

from tests.gobuild import Module, main

MODULE = Module(
    "node",
    Path(__file__).parent,
    ("kubelet", "kube-scheduler", "kubectl", "resolve"),
    minutes=10,
    # Without these they say that they are v0.0.0.
    versioned_by="k8s.io/kubernetes",
    version_packages=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
)

if __name__ == "__main__":
    sys.exit(main(MODULE.build))
