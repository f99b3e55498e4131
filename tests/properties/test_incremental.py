"""Any history of changes ends with the answers that a fresh start gives."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.objects import Key, Kind, Object
from kdns.kube.store import KINDS
from kdns.zone.settings import Settings
from tests.cluster import Cluster, ede, lines, rcode
from tests.properties.strategies import histories, questions

ZONE = Settings(
    zones=("cluster.local", "in-addr.arpa"),
    pods="verified",
    zonal=True,
    search=("a.svc.cluster.local", "svc.cluster.local", "cluster.local"),
)
COMPAT = Settings(zones=ZONE.zones, pods="verified", ignore_empty_service=True, compat=True)

LATER = 1000


def _final(history: list[Change]) -> dict[tuple[Kind, Key], Object]:
    """What exists after a history, folded the obvious way."""
    final: dict[tuple[Kind, Key], Object] = {}
    for change in history:
        match change:
            case Apply(item):
                final[item.KIND, item.key] = item
            case Delete(kind, key):
                final.pop((kind, key), None)
            case _:
                raise AssertionError(change)
    return final


def _answers(cluster: Cluster, asked: list[str]) -> list[tuple[object, ...]]:
    """Everything that a client sees but the SOA serial, which only ever grows."""
    found: list[tuple[object, ...]] = []
    for question in asked:
        answer = cluster.ask(question, edns=1232)
        serial = f" {cluster.store.serial} 7200"
        shown = [
            {line.replace(serial, " 7200") for line in lines(section)}
            for section in (answer.answer, answer.authority, answer.additional)
        ]
        found.append((question, rcode(answer), shown, ede(answer)))
    return found


@given(
    histories,
    st.lists(questions, min_size=1, max_size=6, unique=True),
    st.sampled_from((ZONE, COMPAT)),
)
@settings(max_examples=100)
def test_history_and_fresh_start_agree(
    history: list[Change], asked: list[str], zone: Settings
) -> None:
    live = Cluster(settings=zone)
    for change in history:
        _answers(live, asked)  # prepares answers that the change must drop
        live.change(change)

    fresh = Cluster(_final(history).values(), zone)

    assert _answers(live, asked) == _answers(fresh, asked)


def _listed_later(
    before: dict[tuple[Kind, Key], Object], after: dict[tuple[Kind, Key], Object]
) -> list[Object]:
    """What a later list says: an API server gives no object the version of another state of it."""
    return [
        item if item == before.get(key) else replace(item, version=item.version + LATER)
        for key, item in after.items()
    ]


@given(histories, histories, st.lists(questions, min_size=1, max_size=6, unique=True))
@settings(max_examples=60)
def test_a_list_replaces_everything_at_once(
    before: list[Change], after: list[Change], asked: list[str]
) -> None:
    live = Cluster(_final(before).values(), ZONE)
    _answers(live, asked)
    _answers(live, asked)
    objects = _listed_later(_final(before), _final(after))
    for kind in KINDS:
        live.change(Init(kind))
        for item in objects:
            if kind == item.KIND:
                shown = _answers(live, asked)
                live.change(Apply(item))
                assert _answers(live, asked) == shown
        live.change(InitDone(kind))

    assert _answers(live, asked) == _answers(Cluster(objects, ZONE), asked)
