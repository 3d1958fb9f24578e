"""`just fuzz-admission`: coverage-guided input for the reader of AdmissionReviews and the judgement of pods.

Half of the inputs are bodies as they are; in the other half, bytes choose changes to the question about
the rendered pod, so that what lies behind the parser is reached. `admissionfuzz.check` says what a fault is.
"""

from __future__ import annotations

import json
import sys

import atheris

with atheris.instrument_imports(include=["doorward", "doorward_webhooks"]):
    import admissionfuzz

QUESTIONS = (admissionfuzz.asked(), admissionfuzz.asked(update=True))


def once(data: bytes) -> None:
    """One input."""
    if data[:1] < b"\x80":
        admissionfuzz.check(data[1:])
        return
    chosen = atheris.FuzzedDataProvider(data[1:])
    question = QUESTIONS[chosen.ConsumeIntInRange(0, 1)]
    times = chosen.ConsumeIntInRange(1, 6)
    review = admissionfuzz.changed(question, lambda count: chosen.ConsumeIntInRange(0, count - 1), times)
    admissionfuzz.check(json.dumps(review).encode())


if __name__ == "__main__":
    atheris.Setup(sys.argv, once)
    atheris.Fuzz()
