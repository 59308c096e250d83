"""What linters of others' say of the document, where Node is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.downloads import DOCUMENT
from scripts import protos
from scripts.openapi_lint import LINTERS, TIMEOUT_S, Linter, NotThereError, lint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * TIMEOUT_S)]


def said(linter: Linter, document: Path) -> tuple[bool, str]:
    try:
        return lint(linter, document)
    except NotThereError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("linter", LINTERS, ids=lambda linter: linter.package)
def test_the_document_is_clean(linter: Linter) -> None:
    good, words = said(linter, protos.GENERATED / DOCUMENT)
    assert good, words


@pytest.mark.parametrize("linter", LINTERS, ids=lambda linter: linter.package)
def test_a_faulty_document_is_not(linter: Linter, tmp_path: Path) -> None:
    document = json.loads((protos.GENERATED / DOCUMENT).read_text())
    document["paths"]["/v1/users/{user}"]["get"]["operationId"] = "Login"
    faulty = tmp_path / "openapi.json"
    faulty.write_text(json.dumps(document))
    good, words = said(linter, faulty)
    assert not good
    assert "unique" in words.lower()
