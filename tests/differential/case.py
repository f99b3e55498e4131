"""Two answers to one question, and what its name is about. Knows no server and no reason."""

from dataclasses import dataclass
from functools import cached_property

from tests.differential.compare import Reply
from tests.differential.options import OptionSet
from tests.differential.population import Json, objects
from tests.differential.question import Question

NAMESPACES = {item["metadata"]["name"] for item in objects() if item["kind"] == "Namespace"}
SERVICES: dict[tuple[str, ...], Json] = {
    (item["metadata"]["namespace"], item["metadata"]["name"]): item
    for item in objects()
    if item["kind"] == "Service"
}


@dataclass(frozen=True)
class Case:
    """Two answers to one question, and how they differ."""

    options: OptionSet
    question: Question
    theirs: Reply
    ours: Reply
    kinds: frozenset[str]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels of the name that is looked up, in lower case."""
        labels = tuple(label.decode("latin-1").lower() for label in self.question.labels)
        for before, after in self.options.renamed:
            old = tuple(before.split("."))
            if labels[-len(old) :] == old:
                return (*labels[: -len(old)], *after.split("."))
        return labels

    @cached_property
    def origin(self) -> tuple[str, ...] | None:
        """The zone that the name is in; None when it is in none."""
        zones = {tuple(zone.split(".")) for zone in self.options.origins}
        tails = (self.labels[at:] for at in range(len(self.labels)))
        return next((tail for tail in tails if tail in zones), None)

    @cached_property
    def below(self) -> tuple[str, ...]:
        """The labels in front of the zone."""
        return self.labels[: len(self.labels) - len(self.origin or ())]

    @property
    def reverse(self) -> bool:
        """Whether the name is in a reverse zone."""
        return self.origin is not None and self.origin[-1] == "arpa"

    @property
    def leaves(self) -> bool:
        """Whether the name is the next plugin's when it does not exist."""
        line = next((w for w in self.options.kubernetes if w.startswith("fallthrough")), None)
        if line is None or self.origin is None:
            return False
        zones = [tuple(zone.split(".")) for zone in line.split()[1:]]
        return not zones or any(self.labels[-len(zone) :] == zone for zone in zones)

    @property
    def spelled(self) -> bool:
        """Whether the zone is not asked for in lower case."""
        size = len(self.origin or ())
        zone = self.question.labels[len(self.question.labels) - size :]
        return any(label != label.lower() for label in zone)

    @property
    def short(self) -> bool:
        """Whether it may be a Service's name without ``svc``."""
        if self.reverse or not self.below or self.below[-1] in {"svc", "pod"}:
            return False
        return self.below[-1] in NAMESPACES

    @property
    def place(self) -> tuple[str, ...]:
        """The labels of a name below a namespace: ``(..., service, namespace)``."""
        return self.below[:-1] if self.below[-1:] == ("svc",) else self.below * self.short

    @property
    def service(self) -> Json | None:
        """The Service that the name is about."""
        return SERVICES.get(self.place[:-3:-1]) if len(self.place) > 1 else None

    @property
    def alias(self) -> str:
        """What the Service of that very name is an alias of."""
        own = self.service if len(self.place) == 2 else None
        return str(own["spec"].get("externalName", "")) if own else ""
