"""The actions of the dashboard: those of the command line.

An action is a row of `ACTIONS`. `s3queue.dashboard.acting` shows, confirms, checks, performs and audits all of them in
the same way.
"""

from __future__ import annotations

from s3queue.dashboard.actions import letters, messages, queues, schedules, store
from s3queue.dashboard.actions.action import Action

__all__ = ["ACTIONS"]

#: By name.
ACTIONS: dict[str, Action] = {
    action.name: action for kind in (queues, messages, letters, schedules, store) for action in kind.ACTIONS
}
