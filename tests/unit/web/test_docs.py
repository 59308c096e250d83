"""The documentation: all of it from here, under a policy that lets nothing else in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import downloads, pages
from gateway.web import docs
from gateway.web.app import build
from gateway.web.host import Host
from gateway.web.settings import WebSettings
from mesh import policy
from tests.unit.web.asked import Answer, ask

PROOF = "a-proof-of-the-edge"
FILES = sorted(path.name for path in docs.FOLDER.iterdir())
_LINK = re.compile(r"""(?:src|href)="([^"#]+)"|from "([^"]+)"|fetch\("([^"]+)"\)""")


async def asked(
    tmp_path: Path,
    path: str,
    *headers: tuple[str, str],
    contract: Path = policy.DESCRIPTOR_SET,
    verb: str = "GET",
) -> Answer:
    kept = tmp_path / "proof"
    kept.write_text(PROOF)
    settings = WebSettings(
        listen="unix:/x", mesh="unix:/x", mesh_proof_file=kept, contract=contract
    )
    shown = [("x-palestra-mesh-proof", PROOF), *headers]
    return await ask(build(Host(settings)), path, shown, verb)


async def test_the_page_may_load_and_call_this_edge_alone(tmp_path: Path) -> None:
    page = await asked(tmp_path, "/docs")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    allowed = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    assert allowed.pop("default-src") == "'none'"
    assert set(allowed.values()) == {"'self'", "'none'"}
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", FILES)
async def test_each_file_of_the_page_is_served_with_its_type(tmp_path: Path, name: str) -> None:
    answer = await asked(tmp_path, f"/docs/{name}")
    assert (answer.status, answer.body) == (200, (docs.FOLDER / name).read_bytes())
    kind = answer.headers["content-type"].split(";")[0]
    assert kind in {"text/html", "text/css", "text/javascript", "image/svg+xml"}
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".svg")])
def test_a_file_names_only_what_is_served_here(name: str) -> None:
    text = (docs.FOLDER / name).read_text()
    served = {*FILES, *downloads.MEDIA_TYPES}
    for link in [one or two or three for one, two, three in _LINK.findall(text)]:
        assert link.rpartition("/")[2] in served, link
        assert link.startswith(("/docs/", "./")), link
    assert "//cdn" not in text
    assert "innerHTML" not in text
    assert "localStorage" not in text
    assert not re.search(r"<script(?![^>]*src=)|<[^>]* (style|on[a-z]+)=", text)


@pytest.mark.parametrize(("name", "kind"), sorted(downloads.MEDIA_TYPES.items()))
async def test_downloads_are_what_was_built(tmp_path: Path, name: str, kind: str) -> None:
    answer = await asked(tmp_path, f"/docs/{name}")
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert answer.body == (policy.DESCRIPTOR_SET.parent / name).read_bytes()
    attached = answer.headers.get("content-disposition", "")
    assert (name in attached) == (name != downloads.DOCUMENT)


async def test_what_was_not_built_is_unavailable_with_the_command(tmp_path: Path) -> None:
    contract = tmp_path / "contract.binpb"
    contract.write_bytes(policy.DESCRIPTOR_SET.read_bytes())
    answer = await asked(tmp_path, "/docs/openapi.json", contract=contract)
    assert (answer.status, answer.reason) == (503, "UNAVAILABLE")
    assert "make protos" in answer.json["message"]


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2Fapp.py", "%2e%2e/app.py", "contract.binpb", "a/b.js", ""]
)
async def test_nothing_else_is_served(tmp_path: Path, name: str) -> None:
    answer = await asked(tmp_path, f"/docs/{name}")
    assert (answer.status, answer.reason) == (404, "METHOD_UNKNOWN")


async def test_what_a_browser_has_is_not_sent_again(tmp_path: Path) -> None:
    first = await asked(tmp_path, "/docs/main.js")
    tag = first.headers["etag"]
    again = await asked(tmp_path, "/docs/main.js", ("if-none-match", f'"other", W/{tag}'))
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == tag
    changed = await asked(tmp_path, "/docs/main.js", ("if-none-match", '"other"'))
    assert changed.status == 200


async def test_tools_find_the_document_where_they_look_first(tmp_path: Path) -> None:
    answer = await asked(tmp_path, pages.DOCUMENT.path)
    assert (answer.status, answer.headers["location"]) == (307, "/docs/openapi.json")


async def test_the_documentation_is_read_only(tmp_path: Path) -> None:
    answer = await asked(tmp_path, "/docs", verb="DELETE")
    assert (answer.status, answer.reason) == (405, "METHOD_UNKNOWN")
