"""Running other programs to their end."""

import subprocess
import sys
from pathlib import Path


class CommandError(RuntimeError):
    """A program ended with a status other than zero. The message carries the end of what it said."""


def run(
    *argv: str | Path, stdin: str | None = None, check: bool = True, env: dict[str, str] | None = None
) -> str:
    """Run a program and return its standard output.

    Raises:
        CommandError: When it fails and `check` is set; its output is in the message.

    """
    words = [str(word) for word in argv]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, env=env)
    if check and done.returncode:
        said = (done.stderr + done.stdout).strip()[-2000:]
        raise CommandError(f"{' '.join(words)[:200]}: exit {done.returncode}: {said}")
    return done.stdout


def succeeds(*argv: str | Path) -> bool:
    """Whether the program exists and ends with status zero."""
    try:
        run(*argv)
    except (CommandError, OSError):
        return False
    return True


def say(text: str) -> None:
    """Tell the person in front of the terminal what is happening."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)
