"""`hack/images`: build, load and list the container images of this checkout."""

import argparse
import json
import sys

from devcluster.commands import CommandError, run
from imagebuild import build, charts, containerfile
from imagebuild.build import Image
from imagebuild.parts import PARTS, ROOT, part

_DEFAULT = [p.name for p in PARTS]
_CHART = ("operator", "admission", "broker", "door")
"""Parts that charts/doorward has an image value for."""


def main() -> int:
    """Run one command; the exit status is 1 when a step failed, with a sentence on standard error."""
    arguments = _parser().parse_args()
    try:
        arguments.command(arguments)
    except (CommandError, LookupError, OSError) as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hack/images", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, command, says in (
        ("build", _build, "build what has no image yet and print its reference"),
        ("load", _load, "build, then put the images into the running development cluster"),
        ("list", _list, "print part, reference and archive of every image without building"),
        ("values", _values, "print the chart values that name these images"),
        ("charts", _charts, "write what the charts copy anew: custom resource definitions, catalogue hashes"),
        ("copies", _copies, "write the derived COPY lines of the Containerfile anew"),
    ):
        sub = commands.add_parser(name, help=says)
        sub.add_argument("parts", nargs="*", help=f"parts, default all: {', '.join(_DEFAULT)}")
        sub.set_defaults(command=command)
    return parser


def _chosen(arguments: argparse.Namespace) -> list[Image]:
    return [build.plan(part(name)) for name in arguments.parts or _DEFAULT]


def _built(arguments: argparse.Namespace) -> list[Image]:
    return [build.build(part(name)) for name in arguments.parts or _DEFAULT]


def _build(arguments: argparse.Namespace) -> None:
    for image in _built(arguments):
        print(image.reference)


def _load(arguments: argparse.Namespace) -> None:
    archives = [image.archive for image in _built(arguments)]
    run(ROOT / "hack" / "cluster", "load", *archives)


def _list(arguments: argparse.Namespace) -> None:
    for image in _chosen(arguments):
        print(image.part, image.reference, image.archive)


def _values(arguments: argparse.Namespace) -> None:
    """Values for charts/doorward; for `values connector`, those for charts/doorward-connector."""
    images = {image.part: {"repository": image.repository, "tag": image.tag} for image in _chosen(arguments)}
    if arguments.parts == ["connector"]:
        print(json.dumps({"image": images["connector"]}, indent=2))
        return
    named = {name: {"image": images[name]} for name in _CHART if name in images}
    print(json.dumps(named, indent=2))


def _charts(_arguments: argparse.Namespace) -> None:
    charts.write()


def _copies(_arguments: argparse.Namespace) -> None:
    containerfile.PATH.write_text(containerfile.updated(containerfile.PATH.read_text()))


if __name__ == "__main__":
    sys.exit(main())
