"""One authority follows another: at each step, and after a crash, what is valid is trusted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from mesh.control.authority import CA_LIFETIME, CA_RENEW_BEFORE, Identity, utc_now
from mesh.control.succession import ASKED_FOR, Succession

HOUR = timedelta(hours=1)


def trusts(succession: Succession, identity: Identity) -> bool:
    """Whether an identity's certificate is signed by anyone who is trusted."""
    leaf = x509.load_pem_x509_certificate(identity.chain_pem)
    for root in x509.load_pem_x509_certificates(succession.trusted_pem):
        try:
            leaf.verify_directly_issued_by(root)
        except (ValueError, InvalidSignature):
            continue
        return True
    return False


def step(succession: Succession, now: datetime, *, known: bool = True) -> bool:
    return succession.step(now, everybody_knows=known, leaf_lifetime=HOUR)


def ask(folder: Path) -> None:
    (folder / ASKED_FOR).touch()


def test_without_a_reason_there_is_no_successor(tmp_path: Path) -> None:
    succession = Succession(tmp_path, utc_now())
    assert not step(succession, utc_now())
    assert len(x509.load_pem_x509_certificates(succession.trusted_pem)) == 1


def test_every_step_trusts_both_and_the_last_one_forgets(tmp_path: Path) -> None:
    now = utc_now()
    succession = Succession(tmp_path, now)
    first = succession.signer
    old = first.issue("training", now)
    ask(tmp_path)
    assert step(succession, now)
    assert succession.signer is first
    # Until everybody trusts the next one, it signs nothing.
    assert not step(succession, now, known=False)
    assert succession.signer is first
    assert step(succession, now)
    new = succession.signer.issue("training", now)
    assert succession.signer.ca_pem != first.ca_pem
    assert trusts(succession, old)
    assert trusts(succession, new)
    assert not step(succession, utc_now() + timedelta(minutes=59))
    assert step(succession, utc_now() + timedelta(minutes=61))
    assert not trusts(succession, old)
    assert trusts(succession, new)
    assert not step(succession, utc_now() + timedelta(minutes=62))


def test_the_end_of_an_authority_is_reason_enough(tmp_path: Path) -> None:
    succession = Succession(tmp_path, utc_now())
    soon = datetime.now(UTC) + CA_LIFETIME - CA_RENEW_BEFORE
    assert not step(succession, soon - timedelta(days=1))
    assert step(succession, soon + timedelta(days=1))


@pytest.mark.parametrize("steps", [1, 2])
def test_a_restart_goes_on_where_it_was(tmp_path: Path, steps: int) -> None:
    now = utc_now()
    succession = Succession(tmp_path, now)
    old = succession.signer.issue("training", now)
    ask(tmp_path)
    for _ in range(steps):
        assert step(succession, now)
    again = Succession(tmp_path, now)
    assert again.signer.ca_pem == succession.signer.ca_pem
    assert again.trusted_pem == succession.trusted_pem
    assert trusts(again, old)
    assert not (tmp_path / ASKED_FOR).exists()


def test_a_crash_within_the_change_over_loses_no_trust(tmp_path: Path) -> None:
    """The key has moved and the certificate has not."""
    now = utc_now()
    succession = Succession(tmp_path, now)
    old = succession.signer.issue("training", now)
    ask(tmp_path)
    step(succession, now)
    (tmp_path / "former.pem").write_bytes(succession.signer.ca_pem)
    (tmp_path / "next.key").replace(tmp_path / "ca.key")
    again = Succession(tmp_path, now)
    assert trusts(again, old)
    assert trusts(again, again.signer.issue("training", now))


def test_a_torn_former_authority_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "former.pem").write_text("torn")
    succession = Succession(tmp_path, utc_now())
    assert len(x509.load_pem_x509_certificates(succession.trusted_pem)) == 1
