"""Whom a connector trusts follows a mounted bundle."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from authority import Authority

from doorward import serving
from doorward.connectors.trust import Trust, upstream_context


@pytest.fixture
def bundle(authority: Authority, tmp_path: Path) -> Path:
    found = tmp_path / "bundle.pem"
    found.write_text(authority.bundle)
    return found


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def test_an_unchanged_bundle_keeps_its_context(bundle: Path) -> None:
    """Connections stay in their pool for as long as nothing rotates."""
    trust = Trust(bundle, serving.client_context)

    assert trust.current() is trust.current()


def test_a_replaced_bundle_is_trusted_alone(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An authority that was taken out is out, without a restart."""
    trust = Trust(bundle, serving.client_context)
    before = trust.current().get_ca_certs(binary_form=True)
    _replace(bundle, Authority(tmp_path_factory.mktemp("next")).bundle)

    after = trust.current().get_ca_certs(binary_form=True)

    assert (len(after), set(before) & set(after)) == (1, set())


@pytest.mark.parametrize("text", ["", "half a certif"])
def test_half_a_bundle_changes_nothing(bundle: Path, text: str) -> None:
    """A bundle seen halfway through a rotation does not cut the connector off."""
    trust = Trust(bundle, serving.client_context)
    before = trust.current()
    _replace(bundle, text)

    assert trust.current() is before


def test_without_a_bundle_there_is_no_context(tmp_path: Path) -> None:
    """Nobody is trusted by default."""
    with pytest.raises(OSError, match="bundle"):
        Trust(tmp_path / "bundle.pem", serving.client_context).current()


async def test_the_brokers_new_authority_is_used_at_once(
    rig_of: Any, authority: Authority, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After a rotation that leaves the broker's authority out, its next call is refused by us."""
    copy = tmp_path / "ca.pem"
    copy.write_text(authority.bundle)
    async with rig_of(ca_file=copy) as rig:
        assert (await rig.act())[0] == 200
        _replace(copy, Authority(tmp_path_factory.mktemp("other")).bundle)

        status, problem = await rig.act()

        assert (status, problem["code"]) == (503, "unavailable")
        assert len(rig.forge.comments) == 1


def test_upstreams_are_held_to_certificates(authority: Authority) -> None:
    """Whichever authorities are trusted, names and signatures are checked."""
    for context in (upstream_context(None), upstream_context(authority.bundle)):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_empty_bundle_is_not_everybody(tmp_path: Path) -> None:
    """A file that is mounted but not filled in does not fall back to the system's authorities."""
    empty = tmp_path / "ca.pem"
    empty.touch()

    with pytest.raises(ValueError, match="empty"):
        Trust(empty, upstream_context).current()
