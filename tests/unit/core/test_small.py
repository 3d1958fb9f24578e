"""Small rooms of the core: ids, redaction, settings, problems."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import ids, problem, redact, settings
from doorward.core.redact import Secret
from doorward.core.settings import setting
from doorward.errors import Code, ConfigError, Refusal
from doorward.telemetry.log import redacting


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_ids_sort_by_time(first: float, second: float) -> None:
    """An id made a millisecond later sorts later; version and variant are those of RFC 9562."""
    one, two = ids.uuid7(lambda: first), ids.uuid7(lambda: second)

    assert uuid.UUID(one).version == 7
    assert uuid.UUID(one).variant == uuid.RFC_4122
    if int(first * 1000) < int(second * 1000):
        assert one < two


@pytest.mark.parametrize(
    "credential",
    [
        "ghp_" + "a" * 36,
        "ghs_12345_eyJhbGciOi.J9xxxxxxxxxxxxxxxxxx.sig",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2ln",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----",
    ],
)
def test_credentials_do_not_reach_a_log(credential: str) -> None:
    """Known shapes are masked in any value of an event, however deep."""
    event = redacting(None, "", {"a": f"x {credential} y", "b": [{"c": credential}], "d": {credential}})

    assert credential not in repr(event)
    assert redact.MASK in repr(event)


def test_headers_and_urls_are_masked() -> None:
    """Bearer values and passwords in URLs disappear, the rest of the text stays."""
    found = redact.text("Authorization: Bearer abcdef123456 at https://user:pw@host/path")

    assert found == f"Authorization: Bearer {redact.MASK} at https://{redact.MASK}@host/path"


def test_a_secret_shows_itself_to_nobody() -> None:
    """Text, repr and formatting of a secret say nothing; reveal does."""
    secret = Secret("hunter2")

    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2"


@dataclass(frozen=True)
class _Settings:
    port: int = setting("DOORWARD_PORT", int, "the port")
    tls: bool = setting("DOORWARD_TLS", settings.boolean, "whether to use TLS", default=True)


def test_settings_are_read_with_defaults() -> None:
    """What is set is parsed, what is not has its default."""
    assert settings.read(_Settings, {"DOORWARD_PORT": "8443"}) == _Settings(8443, tls=True)


def test_every_wrong_setting_is_named_at_once() -> None:
    """One error names all variables, with the sentence that says what each is."""
    with pytest.raises(ConfigError) as caught:
        settings.read(_Settings, {"DOORWARD_TLS": "yes"})

    message = str(caught.value)
    assert "DOORWARD_PORT: is not set (the port)" in message
    assert "DOORWARD_TLS: must be true or false" in message


def test_a_refusal_survives_the_wire() -> None:
    """What one part refuses, the next can read and pass on unchanged."""
    refusal = Refusal(Code.LIMIT_EXCEEDED, "one comment", rule="comment", allowed="1", ask="a person")
    found = problem.from_document(problem.document(refusal), 403)

    assert problem.document(found) == problem.document(refusal)


@pytest.mark.parametrize("document", [None, [], {}, {"code": "made_up"}, {"code": None}])
def test_an_answer_without_a_known_code_is_unavailable(document: object) -> None:
    """Whatever else comes back is never taken for a yes or a known no."""
    assert problem.from_document(document, 502).code == Code.UNAVAILABLE


def test_every_code_has_a_reason_of_its_own() -> None:
    """Codes and condition reasons are one vocabulary in two spellings."""
    assert Code.LIMIT_EXCEEDED.reason == "LimitExceeded"
    assert len({code.reason for code in Code}) == len(Code)
