"""The authority behind the edge's own certificate."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from mesh.control import site
from mesh.control.authority import CA_LIFETIME, USUAL_LIFE, Authority, utc_now

NAMES = ("localhost", "127.0.0.1", "::1", "host.example")


def permitted(authority: Authority) -> set[str]:
    found = authority.certificate.extensions.get_extension_for_class(x509.NameConstraints)
    return {str(each.value) for each in found.value.permitted_subtrees or ()}


def test_it_is_kept_as_long_as_the_names_are_the_same(tmp_path: Path) -> None:
    first = site.open_site(tmp_path, NAMES, utc_now())
    assert site.open_site(tmp_path, NAMES, utc_now()).ca_pem == first.ca_pem
    other = site.open_site(tmp_path, (*NAMES, "renamed.example"), utc_now())
    assert other.ca_pem != first.ca_pem
    assert site.open_site(tmp_path, (*NAMES, "renamed.example"), utc_now()).ca_pem == other.ca_pem


@pytest.mark.parametrize("broken", ["gone", "empty", "another's key"])
def test_what_is_broken_is_made_anew(tmp_path: Path, broken: str) -> None:
    first = site.open_site(tmp_path, NAMES, utc_now())
    key = tmp_path / "site.key"
    if broken == "gone":
        key.unlink()
    elif broken == "empty":
        key.write_bytes(b"")
    else:
        other = tmp_path / "other"
        other.mkdir()
        site.open_site(other, NAMES, utc_now())
        key.write_bytes((other / "site.key").read_bytes())
    assert site.open_site(tmp_path, NAMES, utc_now()).ca_pem != first.ca_pem


def test_before_its_end_another_takes_over(tmp_path: Path) -> None:
    first = site.open_site(tmp_path, NAMES, utc_now() - CA_LIFETIME + timedelta(days=29))
    assert site.open_site(tmp_path, NAMES, utc_now()).ca_pem != first.ca_pem


def test_it_vouches_for_its_names_and_signs_for_no_workload() -> None:
    now = utc_now()
    authority = site.create_site(NAMES, now)
    assert permitted(authority) == {"localhost", "host.example"}
    issued = site.issue(authority, NAMES, now, USUAL_LIFE)
    leaf = x509.load_pem_x509_certificate(issued.chain_pem)
    leaf.verify_directly_issued_by(authority.certificate)
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(each.value) for each in found} == set(NAMES)
    assert issued.not_after == now + timedelta(hours=1)
    assert timedelta(minutes=20) < issued.renew_at - now < timedelta(minutes=40)


def test_the_names_are_this_machines_and_well_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Build Box")
    assert site.own_names("0.0.0.0") == ("localhost", "127.0.0.1", "::1")
    monkeypatch.setattr("socket.gethostname", lambda: "Box.example")
    assert site.own_names("10.0.0.7")[-2:] == ("10.0.0.7", "box.example")
