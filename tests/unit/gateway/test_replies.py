import base64

import pytest
from google.rpc import error_details_pb2, status_pb2

from gateway.replies import REFUSALS, replies
from mesh import policy


def test_every_refusal_carries_one_contract_reason_both_ways() -> None:
    contract = policy.load()
    for reply in replies(contract):
        meaning = contract.meanings[policy.MESH_DOMAIN, reply.refusal.reason]
        status = status_pb2.Status.FromString(base64.b64decode(reply.status_details))
        infos = [each for each in status.details if each.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
        assert len(infos) == 1
        code = meaning.code if reply.refusal.code is None else reply.refusal.code
        assert reply.json["code"] == code
        assert reply.json["details"][0]["reason"] == meaning.reason
        assert {each.get("locale") for each in reply.json["details"]} == {None, "en", "ru"}
        # A gRPC client holds both against each other.
        assert status.message == reply.message


@pytest.mark.parametrize("status", range(400, 600))
def test_no_error_status_is_without_a_reason(status: int) -> None:
    assert any(each.lowest <= status <= each.highest and not each.details for each in REFUSALS)
