"""Compiles the pinned Go programs under `hack/tools` into the cache, once per version."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from devcluster.commands import CommandError, run, say
from devcluster.settings import HACK, api_minor, cache


@dataclass(frozen=True)
class Recipe:
    """How the programs of one Go module under `hack/tools` are compiled."""

    module: str
    """Name of the folder."""
    programs: dict[str, str]
    """Program name to Go package."""
    cgo: bool = False
    tags: str = ""
    stamp: tuple[str, ...] = ()
    """Go packages whose version variables must say the version; Kubernetes refuses skews it cannot read."""
    stamped_by: str = ""
    """The required module whose version is written there."""


_KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)

MINORS = ("1.33", "1.35", "1.36")
"""Further minors of Kubernetes whose API server the api tier can run on; one module each."""


def _kubernetes(module: str, programs: dict[str, str]) -> Recipe:
    return Recipe(
        module,
        {name: f"k8s.io/kubernetes/cmd/{package}" for name, package in programs.items()},
        stamp=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
        stamped_by="k8s.io/kubernetes",
    )


RECIPES = (
    _kubernetes("kubernetes", {name: name for name in _KUBERNETES}),
    *(
        _kubernetes(f"kube-apiserver-{minor}", {f"kube-apiserver-{minor}": "kube-apiserver"})
        for minor in MINORS
    ),
    Recipe("gitea", {"gitea": "code.gitea.io/gitea"}, cgo=True, tags="sqlite sqlite_unlock_notify"),
    Recipe("helm", {"helm": "helm.sh/helm/v3/cmd/helm"}),
    Recipe("coredns", {"coredns": "."}),
    Recipe(
        "small",
        {
            "pause": "./pause",
            "probe": "./probe",
            "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
            "kind": "sigs.k8s.io/kind",
        },
    ),
)

LOCAL = (*_KUBERNETES, "coredns", "pause", "probe", "helm", "gitea", "kubeconform")
KIND = ("kubectl", "kind", "helm", "gitea")


def api_server() -> str:
    """The program of the API server that the api tier runs on: the node's, or that of another minor.

    Raises:
        LookupError: When no module is there for that minor.

    """
    minor = api_minor()
    if not minor or version(recipe_of("kube-apiserver"), "k8s.io/kubernetes").startswith(f"v{minor}."):
        return "kube-apiserver"
    recipe_of(f"kube-apiserver-{minor}")
    return f"kube-apiserver-{minor}"


def version(recipe: Recipe, module: str) -> str:
    """The version of a required module as `go.mod` pins it, for example `v1.34.4`."""
    text = (folder(recipe) / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise LookupError(f"hack/tools/{recipe.module}/go.mod does not require {module}")
    return found[1]


def folder(recipe: Recipe) -> Path:
    """The module's folder in the checkout."""
    return HACK / "tools" / recipe.module


def key(recipe: Recipe) -> str:
    """A short hash of everything that decides what comes out."""
    digest = hashlib.sha256(f"{recipe!r} {platform.system()} {platform.machine()}".encode())
    for path in sorted(folder(recipe).rglob("*")):
        if path.name in {"go.mod", "go.sum"} or path.suffix == ".go":
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def home(recipe: Recipe) -> Path:
    """The folder in the cache that holds this module's programs."""
    return cache() / "tools" / f"{recipe.module}-{key(recipe)}"


def recipe_of(program: str) -> Recipe:
    """The recipe that makes a program."""
    for recipe in RECIPES:
        if program in recipe.programs:
            return recipe
    raise LookupError(f"no recipe makes {program}")


def path(program: str) -> Path:
    """Where a program lies once it is built."""
    return home(recipe_of(program)) / program


def gitea_static() -> Path:
    """The forge's templates and options, which its program reads at run time."""
    return home(recipe_of("gitea")) / "static"


def build(programs: Iterable[str]) -> None:
    """Compile what is missing and link all of it into `bin` in the cache.

    A program appears under its name only when it is complete, and Go keeps what it compiled, so an
    interrupted build goes on where it stopped.

    Raises:
        CommandError: When there is no Go compiler or it fails.

    """
    for program in programs:
        if not path(program).exists():
            _compile(recipe_of(program), program)
        _link(program)
    if "gitea" in programs and not gitea_static().exists():
        _copy_static()


def _compile(recipe: Recipe, program: str) -> None:
    if not shutil.which("go"):
        raise CommandError(f"{program} is missing and there is no Go compiler to build it with")
    say(f"building {program}")
    began = time.monotonic()
    target = path(program)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{program}.{os.getpid()}")
    _go(recipe, "build", "-trimpath", "-tags", recipe.tags, "-ldflags", _ldflags(recipe), "-o", str(draft),
        recipe.programs[program])  # fmt: skip
    draft.replace(target)
    say(f"built {program} in {time.monotonic() - began:.0f} s")


def _go(recipe: Recipe, *argv: str) -> str:
    env = os.environ | {
        "CGO_ENABLED": "1" if recipe.cgo else "0",
        "GOFLAGS": "-buildvcs=false",
        "GOWORK": "off",
    }
    done = subprocess.run(
        ["go", *argv], cwd=folder(recipe), env=env, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"go {argv[0]} in hack/tools/{recipe.module} failed")
    return done.stdout


def _ldflags(recipe: Recipe) -> str:
    flags = ["-s", "-w"]
    if recipe.stamp:
        release = version(recipe, recipe.stamped_by)
        major, minor = release.lstrip("v").split(".")[:2]
        for package in recipe.stamp:
            values = {"gitVersion": release, "gitMajor": major, "gitMinor": minor}
            flags += [f"-X {package}.{name}={value}" for name, value in values.items()]
    return " ".join(flags)


def _link(program: str) -> None:
    link = cache() / "bin" / program
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.readlink() == path(program):
        return
    draft = link.with_name(f".{program}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(path(program))
    draft.replace(link)


def _copy_static() -> None:
    recipe = recipe_of("gitea")
    source = Path(_go(recipe, "list", "-m", "-f", "{{.Dir}}", "code.gitea.io/gitea").strip())
    draft = gitea_static().with_name(f".static.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    for part in ("options", "templates", "public"):
        shutil.copytree(source / part, draft / part, copy_function=shutil.copyfile)
    run("chmod", "-R", "u+w,a+rX", draft)
    draft.rename(gitea_static())
