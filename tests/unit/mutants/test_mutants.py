"""The run over mutants fails for what no test noticed and nothing explains."""

from __future__ import annotations

import json
from pathlib import Path

from mutants.__main__ import explained, faults
from mutants.outcome import Mutant, parsed, untried

SHOWN = """# doorward_webhooks.admission.pods.x__told__mutmut_3: survived
--- src/doorward_webhooks/admission/pods.py
+++ src/doorward_webhooks/admission/pods.py
@@ -1,3 +1,3 @@
 def _told(difference: Difference) -> str:
-    text = redact.text(str(difference))
+    text = redact.text(str(None))
     return text
"""
MUTANT = Mutant(
    "doorward_webhooks.admission.pods._told",
    "text = redact.text(str(difference))",
    "text = redact.text(str(None))",
)


def test_a_mutant_is_known_by_its_lines() -> None:
    """The tool numbers mutants anew with each change of a function; the lines stay."""
    assert parsed("doorward_webhooks.admission.pods.x__told__mutmut_3", SHOWN) == MUTANT


def test_a_method_is_named_with_its_class() -> None:
    """`Violation.__str__` and not the tool's own spelling."""
    named = parsed("doorward_webhooks.admission.walk.xǁViolationǁ__str____mutmut_2", SHOWN).function

    assert named == "doorward_webhooks.admission.walk.Violation.__str__"


def test_what_is_unnoticed_must_be_explained_and_nothing_else() -> None:
    """An explanation that outlives its mutant hides the next one."""
    known = {MUTANT: "why"}

    assert list(faults([MUTANT], known)) == []
    assert len(list(faults([MUTANT], {}))) == 1
    assert len(list(faults([], known))) == 1
    assert len(list(faults([MUTANT], {MUTANT: " "}))) == 1


def test_what_was_not_tried_is_not_explained_in_vain() -> None:
    """A run of one module leaves the explanations of the others alone."""
    known = {MUTANT: "why"}

    assert list(faults([], known, frozenset({MUTANT.function}))) == []
    assert len(list(faults([], known, frozenset({"doorward_webhooks.admission.pods.other"})))) == 1


def test_functions_with_a_mutant_that_was_not_tried_are_told(tmp_path: Path) -> None:
    """The tool writes no exit code for what it has not run."""
    folder = tmp_path / "mutants" / "src"
    folder.mkdir(parents=True)
    codes = {"a.b.x_f__mutmut_1": 1, "a.b.x_f__mutmut_2": None, "a.b.x_g__mutmut_1": 0}
    (folder / "b.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))

    assert untried(tmp_path) == {"a.b.f"}


def test_each_explanation_has_a_reason() -> None:
    """The file can be read, and each entry says why."""
    text = (Path(__file__).parents[2] / "mutants.toml").read_text()

    assert [mutant for mutant, why in explained(text).items() if not why.strip()] == []
