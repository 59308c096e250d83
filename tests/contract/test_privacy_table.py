"""The table of what is kept of people is the one that the services declare."""

from __future__ import annotations

import pytest

from scripts import privacy_table


def test_the_document_has_the_table_that_the_services_declare() -> None:
    document = privacy_table.DOCUMENT.read_text(encoding="utf-8")
    assert document == privacy_table.written(document), (
        "read the difference, then python -m scripts.privacy_table --write"
    )


def test_a_document_that_says_something_else_is_told(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = tmp_path_factory.mktemp("p") / "privacy.md"
    whole = privacy_table.DOCUMENT.read_text(encoding="utf-8")
    stale.write_text(whole.replace("400 days", "4 days"), encoding="utf-8")
    monkeypatch.setattr(privacy_table, "DOCUMENT", stale)
    assert privacy_table.main([]) == 1
    assert privacy_table.main(["--write"]) == 0
    assert privacy_table.main([]) == 0
    assert stale.read_text(encoding="utf-8") == whole


def test_a_document_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        privacy_table.written("# Privacy\n")
