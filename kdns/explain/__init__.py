"""Why a name gives what it gives.

``report`` is what comes out. ``reading``, ``origins`` and ``nearest`` are pure and look at names
and objects; ``tracing`` and ``explaining`` ask the plugins; ``library``, ``page`` and ``text`` are
for programs, for HTTP and for people. docs/explain.md has the page.
"""

from kdns.explain.library import explain, explain_async, explain_corefile
from kdns.explain.report import Explanation

__all__ = ["Explanation", "explain", "explain_async", "explain_corefile"]
