"""The search list walked on the server, for a client that is a pod."""

import asyncio
import json
from pathlib import Path

import kdns
from tests.end_to_end.test_resolver import asked
from tests.unit.resolver.objects import SHOP, pod

COREFILE = """
. {{
    bind 127.0.0.1
    autopath @kubernetes
    kubernetes cluster.local {{
        pods verified
        manifests {objects}
    }}
}}
"""


def test_a_pod_has_its_answer_after_one_query(tmp_path: Path) -> None:
    objects, corefile = tmp_path / "objects.json", tmp_path / "Corefile"
    # The queries of this test come from 127.0.0.1.
    items = [*SHOP, pod("cart-0", "127.0.0.1")]
    objects.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    corefile.write_text(COREFILE.format(objects=objects))

    async def test() -> list[list[str]]:
        async with kdns.serving_corefile(corefile) as server:
            names = ("vault.bank.shop", "vault.bank.shop", "vault.bank.bank", "web.shop")
            questions = [f"{name}.svc.cluster.local. A" for name in names]
            return [await asyncio.to_thread(asked, server, question) for question in questions]

    completed = ["vault.bank.svc.cluster.local.", "10.0.0.9"]
    assert asyncio.run(test()) == [completed, completed, ["NXDOMAIN"], ["10.0.0.1"]]
