"""The real code with one rule taken away, again and again. Each of these has to be caught, and by an invariant that is
about that rule; one that is not shows that a checker is missing, or weather.

A mutant replaces functions of the production modules for as long as it is applied, in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from s3queue.testing.simulate import Outcome, Seeded, run

#: Schedules within which a mutant has to be caught, unless it says otherwise.
_BUDGET = 150
#: What is not in the worlds of a mutant unless it says so.
_CALM: Mapping[str, Any] = {"operators": 0, "halts": False, "redrivers": 0, "deaths": 0.0}


@dataclass(frozen=True)
class Mutant:
    """
    Attributes:
        rule: what it takes away.
        caught_by: invariants and promises of which one has to notice.
        patches: what is replaced: (where, name, by what).
        scene: fields of the scene that make the fault matter more often.
        within: schedules.
    """

    name: str
    rule: str
    caught_by: tuple[str, ...]
    patches: tuple[tuple[Any, str, Any], ...]
    scene: Mapping[str, Any] = field(default_factory=dict)
    within: int = _BUDGET

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as undo:
            for where, name, substitute in self.patches:
                undo.callback(setattr, where, name, where.__dict__[name])
                setattr(where, name, substitute)
            yield

    def catch(self) -> tuple[int, Outcome] | None:
        """After how many schedules it was caught, and by which. None: it was not."""
        with self.applied():
            for seed in range(self.within):
                outcome = run(Seeded(seed), **{**_CALM, **self.scene})
                if set(self.caught_by) & outcome.violations.keys():
                    return seed + 1, outcome
        return None


MUTANTS: list[Mutant] = []


def mutant(
    where: Any, name: str, caught_by: str, *, within: int = _BUDGET, **scene: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a substitute for ``where.name``. It is called with the original first."""

    def register(substitute: Callable[..., Any]) -> Callable[..., Any]:
        original = where.__dict__[name]

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return substitute(getattr(original, "fget", None) or original, *args, **kwargs)

        patched: Any = property(wrapped) if isinstance(original, property) else wrapped
        MUTANTS.append(
            Mutant(
                substitute.__name__.replace("_", "-"),
                (substitute.__doc__ or "").strip(),
                tuple(caught_by.split()),
                ((where, name, patched),),
                scene,
                within,
            )
        )
        return substitute

    return register
