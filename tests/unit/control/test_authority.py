from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from mesh.control.authority import Life, create_authority, open_authority, utc_now
from mesh.control.proof import open_proof


def test_the_authority_outlives_a_restart_and_its_key_is_private(tmp_path: Path) -> None:
    first = open_authority(tmp_path, utc_now())
    assert open_authority(tmp_path, utc_now()).ca_pem == first.ca_pem
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("broken", ["ca.key", "ca.pem"])
def test_half_an_authority_is_made_anew(tmp_path: Path, broken: str) -> None:
    first = open_authority(tmp_path, utc_now())
    (tmp_path / broken).write_text("torn")
    second = open_authority(tmp_path, utc_now())
    assert second.ca_pem != first.ca_pem
    assert second.key.public_key() == second.certificate.public_key()


def test_a_key_of_another_authority_is_noticed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    open_authority(tmp_path, utc_now())
    open_authority(other, utc_now())
    (tmp_path / "ca.key").write_bytes((other / "ca.key").read_bytes())
    made = open_authority(tmp_path, utc_now())
    assert made.key.public_key() == made.certificate.public_key()


def test_an_authority_that_is_over_is_made_anew(tmp_path: Path) -> None:
    first = open_authority(tmp_path, utc_now())
    later = utc_now() + timedelta(days=3651)
    assert open_authority(tmp_path, later).ca_pem != first.ca_pem


def test_a_certificate_names_the_workload_and_is_due_before_it_ends(tmp_path: Path) -> None:
    now = utc_now()
    authority = open_authority(tmp_path, now)
    identity = authority.issue("training", now)
    certificate = x509.load_pem_x509_certificate(identity.chain_pem)
    certificate.verify_directly_issued_by(authority.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["spiffe://palestra.local/training"]
    assert certificate.not_valid_after_utc - now <= timedelta(hours=1)
    assert not identity.due(now + timedelta(minutes=26))
    assert identity.due(now + timedelta(minutes=34))


def test_the_next_is_due_while_there_is_grace(tmp_path: Path) -> None:
    now = utc_now()
    life = Life(timedelta(seconds=100), grace=0.8)
    identity = open_authority(tmp_path, now).issue("training", now, life)
    assert not identity.due(now + timedelta(seconds=14))
    assert identity.due(now + timedelta(seconds=26))


def test_not_all_certificates_are_due_at_one_instant() -> None:
    now = utc_now()
    authority = create_authority(now)
    assert len({authority.issue("training", now).renew_at for _ in range(5)}) > 1


def test_the_proof_is_made_once(tmp_path: Path) -> None:
    first = open_proof(tmp_path)
    assert len(first) >= 32
    assert open_proof(tmp_path) == first
    assert (tmp_path / "proof").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["proof"]


@pytest.mark.parametrize("content", ["", "short", "sixteen\ncharacters"])
def test_a_proof_that_no_header_can_carry_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "proof").write_text(content)
    with pytest.raises(ValueError, match="proof"):
        open_proof(tmp_path)
