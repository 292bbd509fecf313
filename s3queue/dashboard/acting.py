"""Shows, confirms, performs and audits an action.

The order is always the same: the action must exist; the viewer must have the right to it; the form must come from this
dashboard. Then the action is performed, and one event records the viewer, the action, its target and its outcome. A
refusal is recorded by an event, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from s3queue.dashboard.access import Viewer
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.actions.action import Action
from s3queue.dashboard.desk import Desk
from s3queue.dashboard.works import State, Work
from s3queue.errors import QueueError

#: Characters of the longest value that a form may carry: an edited payload.
_LONGEST = 1_000_000


class Acting:
    """The routes of actions and works."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ask(self, request: Request) -> Response:
        """The dialog before an action, with the fields of the action."""
        action = ACTIONS.get(request.path_params["action"])
        if action is None:
            return PlainTextResponse("No such action.", 404)
        values = _values(action, request.query_params)
        if refusal := await self._refusal(request, action, values):
            return refusal
        problem = ""
        if action.prepare is not None:
            try:
                values = {**values, **await run_in_threadpool(action.prepare, self._desk, values)}
            except QueueError as fault:
                problem = str(fault)
        return await self._show(request, action, values, problem=problem)

    async def perform(self, request: Request) -> Response:
        """Perform an action, and show its outcome."""
        action = ACTIONS.get(request.path_params["action"])
        if action is None:
            return PlainTextResponse("No such action.", 404)
        form = await self.form(request)
        if form is None:
            return self._unsigned()
        values = _values(action, form)
        if refusal := await self._refusal(request, action, values):
            return refusal
        if action.is_work:
            return await self._begin(request, action, values)
        try:
            told = await run_in_threadpool(action.perform, self._desk, values)
        except (QueueError, TimeoutError) as fault:
            self._audit(request, action.name, values, "failed", str(fault))
            return await self._show(request, action, values, problem=str(fault), status=409)
        except Exception as fault:
            self._audit(request, action.name, values, "failed", f"{type(fault).__name__}: {fault}")
            raise
        self._audit(request, action.name, values, "done", told)
        self._desk.looks.forget()
        return await self._show(request, action, values, told=told)

    async def form(self, request: Request) -> Mapping[str, str] | None:
        """The values of a form. None: we did not give this form to this browser."""
        async with request.form(max_files=0, max_fields=50, max_part_size=_LONGEST) as form:
            said = {name: value for name, value in form.items() if isinstance(value, str)}
        return said if self._desk.access.is_ours(request.state.session, said.get("form_token", "")) else None

    # ---- works ---------------------------------------------------------------------------------------------

    async def work(self, request: Request) -> Response:
        """The progress of a work."""
        work = self._desk.works.get(request.path_params["work"])
        if work is None:
            return await self._desk.page(request, "gone.html", "", status=404, title="Nothing here")
        if request.headers.get("hx-request"):
            return self._desk.part(request, "part/work.html", work=work)
        return await self._desk.page(request, "work.html", "", title=work.title, work=work)

    async def cancel_work(self, request: Request) -> Response:
        """Cancel a work. Allowed to every viewer who may perform its action."""
        work = self._desk.works.get(request.path_params["work"])
        if await self.form(request) is None:
            return self._unsigned()
        viewer: Viewer = request.state.viewer
        if work is None:
            return PlainTextResponse("There is no such operation.", 404)
        if work.action not in viewer.actions:
            self._audit(request, "cancel_work", {}, "refused", work.title)
            return PlainTextResponse(f"You may not end this: it takes the right to {work.action}.", 403)
        work.cancel()
        self._audit(request, "cancel_work", {}, "done", work.title)
        return await self.work(request)

    async def _begin(self, request: Request, action: Action, values: dict[str, str]) -> Response:
        viewer: Viewer = request.state.viewer
        target = values.get(action.target, "") if action.target else ""
        who = _who(request)

        def ended(work: Work, state: State) -> None:
            self._desk.looks.forget()
            self._desk.events.emit(
                "operated", **who, action=action.name, **_said(values), outcome=state, text=work.told
            )

        try:
            work = self._desk.works.begin(
                f"{action.title}: {target}" if target else action.title,
                viewer.name,
                lambda work: action.perform(self._desk, values, work),
                ended,
                action=action.name,
            )
        except QueueError as fault:
            self._audit(request, action.name, values, "failed", str(fault))
            return await self._show(request, action, values, problem=str(fault), status=409)
        if request.headers.get("hx-request"):
            return self._desk.part(request, "part/work.html", work=work)
        return RedirectResponse(f"{request.scope.get('root_path', '')}/works/{work.id}", 303)

    # ---- answers -------------------------------------------------------------------------------------------

    async def _show(
        self,
        request: Request,
        action: Action,
        values: dict[str, str],
        *,
        told: str = "",
        problem: str = "",
        status: int = 200,
    ) -> Response:
        shown: dict[str, Any] = {
            "action": action,
            "values": values,
            "command": action.command(values),
            "told": told,
            "problem": problem,
        }
        if request.headers.get("hx-request"):
            return self._desk.part(request, "part/action.html", status=status, **shown)
        return await self._desk.page(request, "action.html", "", status=status, title=action.title, **shown)

    async def _refusal(self, request: Request, action: Action, values: Mapping[str, str]) -> Response | None:
        viewer: Viewer = request.state.viewer
        if action.name not in viewer.actions:
            self._audit(request, action.name, values, "refused", "")
            if action.name not in self._desk.access.allowed:
                why = f"This dashboard is read-only for {action.name}. Start it with --allow {action.name}."
            else:
                why = f"Your role ({viewer.role or 'viewer'}) may not {action.name}."
            if request.headers.get("hx-request"):
                return self._desk.part(request, "part/refused.html", status=403, why=why)
            return await self._desk.page(request, "refused.html", "", status=403, title="Refused", why=why)
        if action.target and not values.get(action.target):
            return PlainTextResponse(f"No {action.target} was named.", 400)
        return None

    def _unsigned(self) -> Response:
        return PlainTextResponse("This form is not from this session. Nothing was done; load the page again.", 403)

    def _audit(self, request: Request, action: str, values: Mapping[str, str], outcome: str, text: str) -> None:
        self._desk.events.emit("operated", **_who(request), action=action, **_said(values), outcome=outcome, text=text)


def _values(action: Action, given: Mapping[str, str]) -> dict[str, str]:
    """The values in a form that this action takes."""
    names = [action.target, *(field.name for field in action.fields), *action.given]
    return {name: given[name] for name in names if name and name in given}


def _who(request: Request) -> dict[str, str]:
    viewer: Viewer = request.state.viewer
    return {"who": viewer.name, "role_of": viewer.role, "address": request.client.host if request.client else ""}


def _said(values: Mapping[str, str]) -> dict[str, Any]:
    """The values of a form for the audit. Edited payloads are left out: they do not belong in logs."""
    given = {name: value if len(value) <= 200 else f"{value[:200]}…" for name, value in values.items() if value}
    return {"queue": given.pop("queue", ""), "message": given.pop("message", ""), "given": given}
