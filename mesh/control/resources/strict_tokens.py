"""What of a token Envoy's own verification passes over, refused at the edge all the same.

Owns two filters. `form`, before the verification: a token is three parts of base64url whose
first is, byte for byte, the header that identity writes with one of today's keys (so no `typ`
but ours, no `crit`, no key of its own, no name twice), and whose signature is said in one
way only. `claims`, behind it: what only identity's key could sign, and identity never does.
Envoy itself refuses names that come twice in the claims. See docs/tokens.md.
"""

from __future__ import annotations

import base64
import json

import betterproto2
from envoy_data_plane.envoy.config.core.v3 import DataSource, TypedExtensionConfig
from envoy_data_plane.envoy.config.rbac.v3 import (
    Permission,
    Policy,
    Principal,
    PrincipalSet,
    RbacAction,
)
from envoy_data_plane.envoy.config.rbac.v3 import Rbac as Rules
from envoy_data_plane.envoy.config.route.v3 import FilterConfig, HeaderMatcher
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua, LuaPerRoute
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from gateway.pages import BEARER_SUBPROTOCOL
from mesh.control.resources import names
from mesh.control.wire import fitting, pack

CLAIMS_FILTER = "token-claims"
LONGEST_TOKEN = 4096
LONGEST_LIFE_S = 3600
LEEWAY_S = 5
TYPE, ALGORITHM = "at+jwt", "EdDSA"
_BEARER = "Bearer "
# 64 bytes leave four bits of the last letter over, which are zero.
_PARTS = r"[\w-]+\.[\w-]+\.[\w-]+[AQgw]"
_OFFERED = rf"(?:[\w.-]+, ?)*{BEARER_SUBPROTOCOL.replace('.', '[.]')}{_PARTS}"
MOST_KNOWN = 5_000
"""Tokens that are known to be strict, twice: the longest unseen are looked at anew."""


def header_part(key_id: str) -> str:
    """The first part of every token that identity signs with a key, as `mesh.runtime.tokens`."""
    header = {"typ": TYPE, "alg": ALGORITHM, "kid": key_id}
    packed = json.dumps(header, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def form(jwks: str) -> TypedExtensionConfig:
    """Refuses what is no token of today's keys by its form alone; no token at all may pass."""
    heads = [f"{header_part(key['kid'])}." for key in json.loads(jwks)["keys"]]
    bearer = _of_no_form(
        "authorization",
        StringMatcher(contains=_BEARER),
        [StringMatcher(prefix=_BEARER + head) for head in heads],
        _BEARER + _PARTS,
    )
    offered = _of_no_form(
        "sec-websocket-protocol",
        StringMatcher(contains=BEARER_SUBPROTOCOL),
        [StringMatcher(contains=BEARER_SUBPROTOCOL + head) for head in heads],
        _OFFERED,
    )
    policy = Policy(permissions=[Permission(any=True)], principals=[bearer, offered])
    rules = Rules(action=RbacAction.DENY, policies={names.FORM: policy})
    return TypedExtensionConfig(name=names.FORM, typed_config=pack(Rbac(rules=rules)))


def _of_no_form(
    name: str, is_there: StringMatcher, heads: list[StringMatcher], whole: str
) -> Principal:
    known = Principal(or_ids=PrincipalSet(ids=[_header(name, head) for head in heads]))
    written = _header(name, StringMatcher(safe_regex=fitting(whole)))
    right = Principal(and_ids=PrincipalSet(ids=[known, written]))
    return Principal(and_ids=PrincipalSet(ids=[_header(name, is_there), Principal(not_id=right)]))


def _header(name: str, value: StringMatcher) -> Principal:
    return Principal(header=HeaderMatcher(name=name, string_match=value))


# Looked at once for each token: what is known to be strict stays so. Whether it is in its time,
# and of a key of today, was looked at before, each time.
_SOURCE = """
local known, before, count = {}, {}, 0

local function is_uuid(value)
  if type(value) ~= "string" or #value ~= 36 then return false end
  local part = "([0-9a-f]+)"
  local pattern = "^" .. part .. ("%-" .. part):rep(4) .. "$"
  local a, b, c, d, e = value:match(pattern)
  return a ~= nil and #a == 8 and #b == 4 and #c == 4 and #d == 4 and #e == 12
end

local function are_words(value)
  if value == nil then return true end
  if type(value) ~= "table" then return false end
  for at, each in pairs(value) do
    if type(at) ~= "number" or type(each) ~= "string" then return false end
  end
  return true
end

local function is_number(value, otherwise)
  return type(value) == "number" or (otherwise and value == nil)
end

local function is_said_in_one_way(part)
  local over = #part % 4
  return over == 0
    or over == 2 and part:match("[AQgw]$") ~= nil
    or over == 3 and part:match("[AEIMQUYcgkosw048]$") ~= nil
end

local function is_strict(claims, token, said, now)
  return #token <= LONGEST_TOKEN
    and is_said_in_one_way(said)
    and claims.aud == "AUDIENCE"
    and is_uuid(claims.sub) and is_uuid(claims.sid)
    and is_number(claims.iat) and is_number(claims.exp)
    and is_number(claims.nbf, true) and is_number(claims.gen, true)
    and is_number(claims.auth_time, true)
    and claims.iat <= now + LEEWAY_S
    and claims.exp > claims.iat and claims.exp - claims.iat <= LONGEST_LIFE_S
    and (claims.scope == nil or type(claims.scope) == "string")
    and are_words(claims.roles) and are_words(claims.amr)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local told = headers:get("authorization") or headers:get("sec-websocket-protocol")
  if told == nil or known[told] then return end
  if not before[told] then
    local verified = handle:streamInfo():dynamicMetadata():get("JWT")
    local claims = verified and verified["CLAIMS"]
    if not claims then return end
    local token, said = told:match("([%w_%-]+%.([%w_%-]+)%.[%w_%-]+)$")
    if not is_strict(claims, token or told, said or "", handle:timestamp() / 1000) then
      handle:respond({[":status"] = "401"}, "")
      return
    end
  end
  if count >= MOST_KNOWN then known, before, count = {}, known, 0 end
  known[told], count = true, count + 1
end
"""


def claims(audience: str, metadata: str, key: str) -> HttpFilter:
    """The filter behind the verification, for the routes that name it alone."""
    told = {
        "LONGEST_TOKEN": str(LONGEST_TOKEN),
        "AUDIENCE": audience,
        "LEEWAY_S": str(LEEWAY_S),
        "LONGEST_LIFE_S": str(LONGEST_LIFE_S),
        "MOST_KNOWN": str(MOST_KNOWN),
        "JWT": metadata,
        "CLAIMS": key,
    }
    source = _SOURCE
    for name, value in told.items():
        source = source.replace(name, value)
    codes = {CLAIMS_FILTER: DataSource(inline_string=source)}
    config = Lua(source_codes=codes, stat_prefix=CLAIMS_FILTER)
    return HttpFilter(name=CLAIMS_FILTER, typed_config=pack(config), disabled=True)


def on_route(*, needs_token: bool) -> dict[str, betterproto2.Message]:
    """What a route says to both filters."""
    if needs_token:
        return {CLAIMS_FILTER: LuaPerRoute(name=CLAIMS_FILTER)}
    return {names.FORM: FilterConfig(disabled=True)}
