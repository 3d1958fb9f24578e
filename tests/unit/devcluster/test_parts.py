"""Small parts of the development cluster that fail in ways which are hard to see from outside."""

import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devcluster import cluster, services
from devcluster.local import images
from devcluster.local.announcer import main as announce
from devcluster.pki import Authority
from devcluster.settings import Layout
from devcluster.wait import until


@pytest.fixture
def places(tmp_path: Path) -> Layout:
    """Folders of a cluster that does not exist."""
    layout = Layout(run=tmp_path / "run", state=tmp_path / "state")
    layout.make()
    return layout


def test_a_client_certificate_carries_user_and_groups_and_serves_nothing(tmp_path: Path) -> None:
    """Kubernetes reads the user from the common name, groups from organisations."""
    pair = Authority(tmp_path).issue("node", "system:node:a", groups=("system:nodes",))
    cert = x509.load_pem_x509_certificate(pair.cert.read_bytes())
    usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert [name.value for name in cert.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [
        "system:nodes"
    ]


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    """Also while they are being written, whatever the umask."""
    pair = Authority(tmp_path).issue("any", "any")

    assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600


def test_an_image_of_one_program_runs_it_as_an_ordinary_user(tmp_path: Path) -> None:
    """The archive names its reference, its program and a user who is not root."""
    program = tmp_path / "thing"
    program.write_bytes(b"binary")
    with tarfile.open(images.archive(program, "localhost/thing:1", tmp_path / "thing.tar")) as tar:
        manifest = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(tar.extractfile("config.json") or pytest.fail("no config"))

    assert manifest[0]["RepoTags"] == ["localhost/thing:1"]
    assert config["config"] == {"Entrypoint": ["/thing"], "User": "65532:65532"}


def test_facts_survive_odd_values(places: Layout) -> None:
    """What is printed for a shell is read back the same."""
    places.facts.write_text("PLAIN=/a/b\nODD='a b$c'\n")

    assert cluster.read_facts(places) == {"PLAIN": "/a/b", "ODD": "a b$c"}


def test_a_process_that_took_over_the_number_is_not_ours(places: Layout) -> None:
    """A record names the start of its process, so that nobody else's is ever stopped."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        (places.pids / "gone").write_text(f"{process.pid} 1\n")

        assert not services.alive("gone", places)
        services.stop("gone", places)
        assert process.poll() is None
        process.kill()


def test_a_missing_record_means_not_alive(places: Layout) -> None:
    """As after a crash between start and record."""
    assert not services.alive("never", places)
    assert services.recorded(places) == []


def test_waiting_says_what_was_awaited_and_why_it_did_not_come() -> None:
    """A test that times out names its condition and the last error."""

    def refuse() -> bool:
        raise OSError("refused")

    with pytest.raises(TimeoutError, match=r"the door: not within 0 s \(refused\)"):
        until(refuse, "the door", seconds=0)


def test_the_announcer_says_which_protocol_it_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Containerd asks before anything else."""
    monkeypatch.setitem(os.environ, "CNI_COMMAND", "VERSION")
    announce()

    assert "0.4.0" in json.loads(capsys.readouterr().out)["supportedVersions"]
