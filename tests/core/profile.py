"""How long Hypothesis looks."""

from hypothesis import settings

BRIEF = settings(max_examples=60)
LONG = settings(BRIEF, max_examples=400)
