"""What in manifests will not resolve as it is meant.

``rules`` are pure: documents in, findings out. ``loading`` reads the files. The table of codes is
in docs/explain.md.
"""

from kdns.lint.finding import Finding
from kdns.lint.loading import lint

__all__ = ["Finding", "lint"]
