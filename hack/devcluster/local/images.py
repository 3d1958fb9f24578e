"""Images that hold one static program, made without any image builder, and loading archives into the node."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from devcluster.commands import run, say
from devcluster.settings import Layout

PAUSE = "localhost/doorward-dev/pause:1"
COREDNS = "localhost/doorward-dev/coredns:1"


def archive(program: Path, reference: str, target: Path) -> Path:
    """Write a docker-archive whose image holds `program` at `/NAME` and runs it as user 65532."""
    layer = _tar({program.name: (program.read_bytes(), 0o755)})
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        "architecture": _architecture(),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }).encode()  # fmt: skip
    manifest = json.dumps(
        [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    ).encode()
    files = {"manifest.json": manifest, "config.json": config, "layer.tar": layer}
    target.write_bytes(_tar({name: (content, 0o644) for name, content in files.items()}))
    return target


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(run("uname", "-m").strip(), "amd64")


def load(layout: Layout, archives: list[Path]) -> None:
    """Import archives (docker or OCI layout) into the node, unless unchanged since their last import."""
    for path in archives:
        stamp = _stamp(layout, path)
        if stamp.exists():
            continue
        say(f"loading {path.name}")
        socket = layout.run / "containerd.sock"
        run("ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", path)
        stamp.parent.mkdir(exist_ok=True)
        stamp.touch()


def _stamp(layout: Layout, path: Path) -> Path:
    about = path.stat()
    name = f"{path.resolve()} {about.st_size} {about.st_mtime_ns}"
    return layout.state / "loaded" / hashlib.sha256(name.encode()).hexdigest()[:16]
