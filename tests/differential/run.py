"""Ask both servers the same, and account for every difference. Knows no objects and no reasons."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from tests.differential.case import Case
from tests.differential.compare import Reply, beside, differences, read
from tests.differential.contestants import COMPAT, COREDNS, MODES, NORMAL, Running, running
from tests.differential.exchange import ask
from tests.differential.known import KNOWN, Known
from tests.differential.options import OPTION_SETS, OptionSet
from tests.differential.population import objects
from tests.differential.question import Question
from tests.differential.questions import Questions
from tests.differential.vocabulary import Vocabulary

ID = 2
"""Octets of a message's id."""
BATCH = 200
"""Questions to each option set before their answers are compared."""
SLACK = 60
"""Seconds by which TTLs may differ that count down in a cache."""
SHOWN = 15
"""How many differences are shown in full."""


@dataclass
class Report:
    """What a run found."""

    questions: Counter[str] = field(default_factory=Counter)
    """How many were asked, by option set."""
    explained: Counter[tuple[str, Known]] = field(default_factory=Counter)
    """How many answers each entry of the list was needed for, by mode."""
    different: Counter[str] = field(default_factory=Counter)
    """How many answers differ, by mode."""
    unknown: list[tuple[str, Case]] = field(default_factory=list)
    """Differences that the list does not explain, with the mode."""

    def unused(self, sets: Sequence[OptionSet]) -> list[str]:
        """Name the entries that were not needed, though their option sets were asked."""
        return [
            f"{known.name} ({mode})"
            for mode, entries in KNOWN.items()
            for known in entries
            if not self.explained[mode, known] and known.applies(sets)
        ]

    def table(self) -> str:
        """Write the differences by kind, and how often they were met."""
        lines = [f"{self.questions.total()} questions to {len(self.questions)} option sets"]
        for mode in MODES:
            lines += ["", f"{mode}: {self.different[mode]} answers differ"]
            lines += [
                f"{self.explained[mode, known]:8}  {known.name:6} {known.reason}"
                for known in KNOWN[mode]
            ]
            unknown = Counter(_kinds(case) for one, case in self.unknown if one == mode)
            lines += [f"{times:8}  not on the list: {kinds}" for kinds, times in unknown.items()]
        return "\n".join(lines)

    def story(self) -> str:
        """Show what is not on the list, question and answers."""
        shown = "\n\n".join(_show(mode, case) for mode, case in _one_of_each(self.unknown))
        return f"{len(self.unknown)} differences that are not on the list\n\n{shown}"

    def take(self, cases: Iterable[tuple[str, Case]]) -> None:
        """Count questions and account for differences."""
        for mode, case in cases:
            self.questions[case.options.name] += mode == NORMAL
            self._note(mode, case)

    def _note(self, mode: str, case: Case) -> None:
        if not case.kinds:
            return
        self.different[mode] += 1
        left = case.kinds
        for known in KNOWN[mode]:
            explained = known.explains(case) & left
            if explained:
                self.explained[mode, known] += 1
                left -= explained
        if left:
            self.unknown.append((mode, case))


def _one_of_each(unknown: Sequence[tuple[str, Case]]) -> Iterator[tuple[str, Case]]:
    """Choose differences of as many kinds as can be shown."""
    chosen = {(mode, _kinds(case), case.question.type): (mode, case) for mode, case in unknown}
    return islice(chosen.values(), SHOWN)


def _kinds(case: Case) -> str:
    return ", ".join(sorted(case.kinds))


def _show(mode: str, case: Case) -> str:
    block = case.options.block(53, 8181, "FILE", "UPSTREAM")
    head = f"{mode}, option set {case.options.name}: {_kinds(case)}\n{block}{case.question}"
    return f"{head}\n{beside(case.theirs, case.ours)}"


@dataclass
class Plan:
    """How many questions to ask, of which option sets, from which seed."""

    count: int
    seed: int = 0
    sets: Sequence[OptionSet] = OPTION_SETS

    def rounds(self) -> Iterator[list[tuple[OptionSet, list[Question]]]]:
        """Yield as many questions to every option set at a time as are compared at a time."""
        vocabulary = Vocabulary.of(objects())
        streams = [(one, iter(Questions(vocabulary, one, self.seed))) for one in self.sets]
        each = -(-self.count // len(streams))
        for begin in range(0, each, BATCH):
            size = min(BATCH, each - begin)
            yield [(options, list(islice(stream, size))) for options, stream in streams]


def compare(plan: Plan) -> Report:
    """Start the servers, ask, compare and stop them. Raises ``NotBuilt``."""
    with running(plan.sets) as found:
        return asyncio.run(_compare(plan, found))


async def _compare(plan: Plan, found: Running) -> Report:
    report = Report()
    for batches in plan.rounds():
        asking = (_ask(found, options, questions) for options, questions in batches)
        for cases in await asyncio.gather(*asking):
            report.take(cases)
    return report


async def _ask(
    found: Running, options: OptionSet, questions: Sequence[Question]
) -> Iterator[tuple[str, Case]]:
    """Ask all contestants at once; return what to compare, by mode."""
    ports = [found.ports[name][options.name] for name in (COREDNS, NORMAL, COMPAT)]
    answers = await _answers(ports, questions)
    # A busy machine loses a datagram now and then: only who is silent twice is silent.
    doubtful = [n for n, wires in enumerate(answers) if None in wires and any(wires)]
    again = await _answers(ports, [questions[n] for n in doubtful])
    for number, wires in zip(doubtful, again, strict=True):
        answers[number] = wires
    return _pair(options, questions, answers)


async def _answers(
    ports: Sequence[int], questions: Sequence[Question]
) -> list[tuple[bytes | None, ...]]:
    """Return what is said to each question, by port."""
    messages = [(question.wire(0), question.tcp) for question in questions]
    answers = await asyncio.gather(*(ask(port, messages) for port in ports))
    return list(zip(*answers, strict=True))


def _read(wires: Sequence[bytes | None], *, fold: bool) -> Iterator[Reply]:
    """Read answers, equal ones once: that is most of the time that a run takes."""
    known: dict[bytes, Reply] = {}
    for wire in wires:
        key = (wire or b"")[ID:]
        if key not in known:
            known[key] = read(wire, fold=fold)
        yield known[key]


def _pair(
    options: OptionSet,
    questions: Sequence[Question],
    answers: Iterable[tuple[bytes | None, ...]],
) -> Iterator[tuple[str, Case]]:
    """Read the answers and set each of kdns's beside that of CoreDNS."""
    slack = SLACK if options.caches else 0
    for question, wires in zip(questions, answers, strict=True):
        theirs, *both = _read(wires, fold=options.caches)
        for mode, ours in zip(MODES, both, strict=True):
            kinds = differences(theirs, ours, slack)
            yield mode, Case(options, question, theirs, ours, kinds)
