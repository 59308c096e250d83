"""How the edge makes an answer's tag a header, and an unchanged answer a 304.

Owns the few lines that do so. The tag, and whether the caller has the answer already,
are the service's to tell (`mesh.runtime.conditions`), in its trailers: the transcoder
keeps an answer's headers back until then, but looks at no other trailer than the status.
"""

from __future__ import annotations

import json

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua, LuaPerRoute
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from google.protobuf import json_format

from gateway.replies import status_of
from mesh import policy
from mesh.control.wire import pack
from palestra.mesh.v1 import errors_pb2

FILTER = "answer-tags"
_TAGS, _RENDERED = "tags", "rendered"
_UNAVAILABLE = next(
    each
    for each in policy.meanings_of(errors_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"])
    if each.reason == "UNAVAILABLE"
)
# A refusal is headers alone, and stays so: wrapped into a body it would be no refusal.
# An answer that is no gRPC any more is left alone by the transcoder.
_SOURCE = """
function envoy_on_response(handle)
  if handle:headers():get("grpc-status") then return end
  local body = handle:body(true)
  local trailers = handle:trailers()
  CHECK
  local tag = trailers and trailers:get("x-palestra-etag")
  if not tag then return end
  local headers = handle:headers()
  local control = trailers:get("x-palestra-cache-control")
  headers:replace("etag", tag)
  headers:replace("cache-control", control)
  -- Browsers share one cache between the pages of all origins.
  local own = control:sub(1, 7) == "private"
  headers:replace("vary", "Origin, Accept-Encoding" .. (own and ", Authorization" or ""))
  if trailers:get("x-palestra-unchanged") then
    headers:replace(":status", "304")
    headers:remove("content-type")
    body:setBytes("")
    headers:remove("content-length")
    trailers:remove("grpc-status")
    trailers:remove("grpc-message")
    trailers:remove("x-palestra-unchanged")
  end
  trailers:remove("x-palestra-etag")
  trailers:remove("x-palestra-cache-control")
  trailers:remove("x-palestra-rendered")
end
"""
# Whoever answers with the message instead, a worker of before that was agreed say, must not
# come as far as the transcoder: a message taken for a content type ends Envoy itself.
_CHECK = """
  local well = trailers and trailers:get("grpc-status") == "0"
  if well and not trailers:get("x-palestra-rendered") then
    handle:headers():replace(":status", "503")
    handle:headers():replace("content-type", "application/json")
    handle:headers():remove("content-length")
    body:setBytes([==[REFUSAL]==])
    trailers:remove("grpc-status")
    trailers:remove("grpc-message")
    trailers:remove("x-palestra-etag")
    trailers:remove("x-palestra-cache-control")
    trailers:remove("x-palestra-unchanged")
    return
  end
"""


def as_filter() -> HttpFilter:
    """The filter, behind the transcoder; it is there for the routes that name it alone."""
    refusal = json_format.MessageToDict(status_of(_UNAVAILABLE))
    check = _CHECK.replace("REFUSAL", json.dumps(refusal, ensure_ascii=False))
    sources = {_TAGS: _SOURCE.replace("CHECK", ""), _RENDERED: _SOURCE.replace("CHECK", check)}
    codes = {name: DataSource(inline_string=source) for name, source in sources.items()}
    config = Lua(source_codes=codes, stat_prefix=_TAGS)
    return HttpFilter(name=FILTER, typed_config=pack(config), disabled=True)


def on_route(*, rendered: bool) -> LuaPerRoute:
    """A route's wish for the filter; `rendered` where the service writes the answer."""
    return LuaPerRoute(name=_RENDERED if rendered else _TAGS)
