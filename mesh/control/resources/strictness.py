"""The edge's question about the bodies of those who asked to be told of unknown fields.

Owns when it is asked: for a REST request with a body and the header, and for no other.
Where nobody answers such a request is refused as UNAVAILABLE; the rest go on.
"""

from __future__ import annotations

import betterproto2
from envoy_data_plane.envoy.config.core.v3 import (
    HeaderValue,
    HttpUri,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.extensions.common.matching.v3 import ExtensionWithMatcher
from envoy_data_plane.envoy.extensions.filters.common.matcher.action.v3 import SkipFilter
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import (
    AuthorizationRequest,
    BufferSettings,
    ExtAuthz,
    HttpService,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import HttpRequestHeaderMatchInput
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig as XdsExtension
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicatePredicateList,
    MatcherMatcherListPredicateSinglePredicate,
    MatcherOnMatch,
    RegexMatcher,
    RegexMatcherGoogleRe2,
    StringMatcher,
)

from gateway import strict
from mesh import catalog
from mesh.control.resources import names
from mesh.control.resources.filters import MAX_BODY_BYTES
from mesh.control.resources.routes import PROOF_HEADER
from mesh.control.wire import pack, seconds

FILTER = "unknown-fields"
_ANSWER_S = 2.0


def as_filter(proof: str) -> HttpFilter:
    """The filter: before the transcoder, behind token and limit."""
    question = ExtAuthz(
        http_service=HttpService(
            server_uri=HttpUri(
                uri=f"http://{catalog.WEB}",
                cluster=names.workers(catalog.WEB),
                timeout=seconds(_ANSWER_S),
            ),
            path_prefix=strict.PREFIX,
            authorization_request=AuthorizationRequest(
                headers_to_add=[HeaderValue(key=PROOF_HEADER, value=proof)]
            ),
        ),
        with_request_body=BufferSettings(max_request_bytes=MAX_BODY_BYTES),
        status_on_error=HttpStatus(code=StatusCode.ServiceUnavailable),
    )
    config = ExtensionWithMatcher(
        xds_matcher=_unless_asked(),
        extension_config=TypedExtensionConfig(name=FILTER, typed_config=pack(question)),
    )
    return HttpFilter(name=FILTER, typed_config=pack(config))


def concerns(verb: str) -> bool:
    """Whether anybody can ask of a route of this verb; the filter is not made for the others."""
    return verb in strict.VERBS


def _unless_asked() -> Matcher:
    """Skips the filter where one of these is not so; the first is the cheapest to know."""
    asked = MatcherMatcherListPredicate(
        and_matcher=MatcherMatcherListPredicatePredicateList(
            predicate=[
                _header(strict.HEADER, StringMatcher(exact=strict.ASKED)),
                _header(":method", _fitting("|".join(strict.VERBS))),
                _not(_header("content-type", StringMatcher(prefix="application/grpc"))),
            ]
        )
    )
    skip = MatcherOnMatch(action=_extension("skip", SkipFilter()))
    return Matcher(
        matcher_list=MatcherMatcherList(
            matchers=[MatcherMatcherListFieldMatcher(predicate=_not(asked), on_match=skip)]
        )
    )


def _header(name: str, value: StringMatcher) -> MatcherMatcherListPredicate:
    single = MatcherMatcherListPredicateSinglePredicate(
        input=_extension(name, HttpRequestHeaderMatchInput(header_name=name)), value_match=value
    )
    return MatcherMatcherListPredicate(single_predicate=single)


def _not(predicate: MatcherMatcherListPredicate) -> MatcherMatcherListPredicate:
    return MatcherMatcherListPredicate(not_matcher=predicate)


def _fitting(regex: str) -> StringMatcher:
    return StringMatcher(safe_regex=RegexMatcher(google_re2=RegexMatcherGoogleRe2(), regex=regex))


def _extension(name: str, config: betterproto2.Message) -> XdsExtension:
    return XdsExtension(name=name, typed_config=pack(config))
