"""How long Hypothesis looks."""

from hypothesis import HealthCheck, settings

#: No deadline: a test that takes longer on a busy machine is no failure.
BRIEF = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(BRIEF, max_examples=400)
