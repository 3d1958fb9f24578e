"""What the charts carry copies of: the custom resource definitions, and the hashes of the catalogues."""

from doorward import catalogue
from imagebuild.parts import ROOT

_CRDS = ROOT / "charts" / "doorward" / "files" / "crds"
_HASHES = ROOT / "charts" / "doorward-connector" / "files" / "catalogues.yaml"


def copies() -> dict[str, str]:
    """Path in the checkout to what the file there must say."""
    wanted = {_CRDS / source.name: source.read_text() for source in (ROOT / "crds").glob("*.yaml")}
    hashes = "".join(f"{kind}: {catalogue.load(kind).hash}\n" for kind in catalogue.TYPES)
    wanted[_HASHES] = f"# Written by `hack/images charts`: what a Connector of this release pins.\n{hashes}"
    return {str(path.relative_to(ROOT)): text for path, text in wanted.items()}


def present() -> dict[str, str]:
    """The same as the files are now, with those that nothing asks for any more."""
    found = [*_CRDS.glob("*"), *_HASHES.parent.glob("*")]
    return {str(path.relative_to(ROOT)): path.read_text() for path in found if path.is_file()}


def write() -> None:
    """Make the copies what they must be."""
    wanted = copies()
    for name in present().keys() - wanted.keys():
        (ROOT / name).unlink()
    for name, text in wanted.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text)
