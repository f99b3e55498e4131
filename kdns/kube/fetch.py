"""One question to the API server, without following anything. Knows no DNS."""

from http import HTTPStatus

from kdns.errors import UpstreamError
from kdns.kube.access import Access
from kdns.kube.connect import Connection, trouble
from kdns.kube.decode import read_page, read_refusal
from kdns.kube.exchange import List, Page, Reply
from kdns.kube.objects import Pod
from kdns.kube.resources import RESOURCES, Target, query

_MAX_REFUSAL = 65_536


def fetch_pod(access: Access, namespace: str, name: str) -> Pod | None:
    """Return a running Pod; None where there is none. Blocks for as long as the server takes.

    Raises UpstreamError where the API server does not say, and UsageError without a configuration.
    It asks for a list of one, which needs no other right than following pods does.
    """
    target = Target(RESOURCES["Pod"], namespace, fields=f"metadata.name={name}")
    match _asked(access, target):
        case Page(objects=objects):
            return next((one for one in objects if isinstance(one, Pod)), None)
        case reply:
            why = getattr(reply, "text", "") or "no answer"
            raise UpstreamError(f"pod {namespace}/{name}: the API server does not say: {why}")


def _asked(access: Access, target: Target) -> Reply:
    connection = Connection(access)
    try:
        with connection.get(target.path, query(target, List(1))) as response:
            if response.status != HTTPStatus.OK:
                return read_refusal(response.status, response.read(_MAX_REFUSAL))
            return read_page(target.kind, response.read(decode_content=True))
    except Exception as error:  # noqa: BLE001 - urllib3, ssl, kubernetes, an exec plugin: all
        return trouble(error)
    finally:
        connection.close()
