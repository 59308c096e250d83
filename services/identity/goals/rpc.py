"""GoalService: decode, call, encode."""

from __future__ import annotations

import uuid
from datetime import datetime

from mesh.runtime import Call, masks, names, pages
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import keyed_id, uuid7
from palestra.identity.v1 import goal_service_pb2 as pb
from services.identity.goals import encoding
from services.identity.goals.flow import BEGINNING, GoalFlow
from services.identity.goals.rules import CHANGEABLE

USUAL_PAGE = 50


class GoalRpc:
    """Serves palestra.identity.v1.GoalService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["GoalService"]

    def __init__(self, flow: GoalFlow) -> None:
        self._flow = flow

    async def ListGoals(self, request: pb.ListGoalsRequest, call: Call) -> pb.ListGoalsResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        page_key = f"goals of {user_id}"
        after = _place(pages.cursor(page_key, request.page_token))
        size = request.page_size or USUAL_PAGE
        found, more = await self._flow.goals(call.signed_in.id, user_id, after, size)
        answer = pb.ListGoalsResponse(goals=map(encoding.goal, found))
        if more:
            last = [found[-1].created_at.isoformat(), str(found[-1].goal_id)]
            answer.next_page_token = pages.token(page_key, last)
        return answer

    async def CreateGoal(self, request: pb.CreateGoalRequest, call: Call) -> pb.CreateGoalResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        request_id = request.request_id or call.request_id or str(uuid7())
        goal_id = keyed_id(user_id, call.method, request_id)
        done = await self._flow.create(user_id, goal_id, encoding.wanted(request.goal))
        return pb.CreateGoalResponse(goal=encoding.goal(done))

    async def UpdateGoal(self, request: pb.UpdateGoalRequest, call: Call) -> pb.UpdateGoalResponse:
        goal = request.goal
        user_id, goal_id = names.parse(goal.name, "users", "goals", field="goal.name")
        fields = masks.to_change(request.update_mask, goal, CHANGEABLE)
        done = await self._flow.update(user_id, goal_id, encoding.wanted(goal), fields, goal.etag)
        return pb.UpdateGoalResponse(goal=encoding.goal(done))

    async def DeleteGoal(self, request: pb.DeleteGoalRequest, call: Call) -> pb.DeleteGoalResponse:
        user_id, goal_id = names.parse(request.name, "users", "goals")
        await self._flow.delete(user_id, goal_id)
        return pb.DeleteGoalResponse()


def _place(found: list[object] | None) -> tuple[datetime, uuid.UUID]:
    if found is None:
        return BEGINNING
    # Anybody can make a token, so that its content is as little to be trusted as its shape.
    try:
        created_at, goal_id = found
        place = datetime.fromisoformat(str(created_at)), uuid.UUID(str(goal_id))
    except ValueError:
        raise MeshError("PAGE_TOKEN_INVALID") from None
    if place[0].tzinfo is None:
        raise MeshError("PAGE_TOKEN_INVALID")
    return place
