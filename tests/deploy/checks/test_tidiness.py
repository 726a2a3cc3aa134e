"""What slips in by habit is found, and ordinary text is left alone."""

from __future__ import annotations

import pytest

from deploy.checks.tidiness import findings


@pytest.mark.parametrize(
    "line",
    [
        "log: /home/olena/footlights/build",
        'open("/root/.config")',
        "--index-url https://packages.example.com/simple",
        "resolved https://artifactory.example.com/npm/react",
        "see http://10.1.2.3:8080/",
        "http://registry.build.internal/simple",
        "token = ghp_" + "a" * 36,
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_found(line: str) -> None:
    (found,) = findings("some.txt", f"first\n{line}\n")

    assert found.startswith("some.txt:2: ")
    assert line not in found


@pytest.mark.parametrize(
    "line",
    [
        "GET /roots/1",
        "http://127.0.0.1:8000/work/1",
        "https://registry." + "npmjs.org/react/-/react-19.tgz",
        "requirements.lock --no-emit-index-url",
        "an internal error",
        "WORKDIR /app",
    ],
)
def test_left_alone(line: str) -> None:
    assert list(findings("some.txt", line)) == []


def test_a_marked_key_for_development_may_stay() -> None:
    text = "Annotated[SecretStr, DevelopmentDefault()]\n-----BEGIN PRIVATE KEY-----\n"

    assert list(findings("settings.py", text)) == []
