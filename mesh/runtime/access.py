"""May this caller call this method on this thing? As the contract says, and no other way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from mesh import catalog, policy
from mesh.runtime.calls import OWN_APPS, Call, User
from mesh.runtime.errors import MeshError
from palestra.mesh.v1 import policy_pb2

_ME = "users/me"
Check = Callable[[Message, Call], None]


def admit(method: policy.Method, call: Call) -> None:
    """Checks what can be known before the request is read.

    Raises:
        MeshError: CALLER_REFUSED, TOKEN_MISSING, ROLE_MISSING, SCOPE_MISSING,
            SIGN_IN_TOO_OLD or PLAN_MISSING.
    """
    rules = method.policy
    if rules.access == policy.SERVICE:
        if not method.allows_service(call.caller):
            raise MeshError("CALLER_REFUSED", f"{call.caller or 'nobody'} may not call it")
        return
    if call.caller != catalog.EDGE and not method.allows_service(call.caller):
        raise MeshError("CALLER_REFUSED", f"{call.caller or 'nobody'} may not call it")
    if rules.access != policy.PUBLIC:
        if call.user is None:
            raise MeshError("TOKEN_MISSING")
        _admit_user(rules, call.user)


def _admit_user(rules: policy_pb2.Policy, user: User) -> None:
    if rules.access == policy.ROLE and not user.roles.intersection(rules.roles):
        raise MeshError("ROLE_MISSING", f"one of {', '.join(rules.roles)} is needed")
    if not rules.scope and user.client != OWN_APPS:
        # What no scope can grant is for our own apps.
        raise MeshError("SCOPE_MISSING", "it is for Palestra's own apps")
    if user.is_service and rules.access == policy.USER and not rules.owner:
        raise MeshError("NOT_OWNER", "a service account has nothing of its own")
    if rules.scope and rules.scope not in user.scopes:
        raise MeshError("SCOPE_MISSING", f"the scope {rules.scope} is needed")
    if rules.fresh_auth_s and time.time() - user.auth_time_s > rules.fresh_auth_s:
        raise MeshError("SIGN_IN_TOO_OLD")
    if rules.requires_plan and rules.requires_plan != user.plan:
        raise MeshError("PLAN_MISSING", f"the plan {rules.requires_plan} is needed")


def owner_check(method: policy.Method) -> Check | None:
    """The check that the request is about the caller's own, made once for each method.

    It also writes the caller's id where the request says `users/me`.
    """
    rules = method.policy
    if not rules.owner or rules.access not in (policy.USER, policy.ROLE):
        return None
    *path, leaf = rules.owner.split(".")

    def check(request: Message, call: Call) -> None:
        holder: Any = request
        for part in path:
            holder = getattr(holder, part)
        name: str = getattr(holder, leaf)
        user = call.signed_in
        if user.is_service:
            # Nothing is its own, whatever it is called.
            _admit_other(rules, user)
            if name == _ME or name.startswith(_ME + "/"):
                raise MeshError("NOT_OWNER", "a service account has nothing of its own")
            return
        if name == _ME or name.startswith(_ME + "/"):
            setattr(holder, leaf, user.name + name[len(_ME) :])
            return
        if name == user.name or name.startswith(user.name + "/"):
            return
        _admit_other(rules, user)

    return check


def _admit_other(rules: policy_pb2.Policy, user: User) -> None:
    if rules.others == policy_pb2.OTHERS_VISIBLE:
        return
    if rules.others == policy_pb2.OTHERS_ROLE and rules.others_role in user.roles:
        return
    raise MeshError("NOT_OWNER")
