"""How long tests wait for what must come.

A limit is there to end a test that would wait for ever, not to measure: on a busy machine
everything takes ten or twenty times as long. What must be quick is compared with a wait that would
be far longer, or tried again.
"""

import os

SLOWER = float(os.environ.get("KDNS_TESTS_SLOWER", "1"))
"""How many times as long as usual a control plane may take: more where a processor is emulated."""
PATIENCE = 120.0
"""Seconds; less than the time that a whole test has."""
