"""What one says about Kafka fits together: nothing that was set is left unused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from chassis import kafka
from chassis.settings import KafkaSettings

ACCOUNT = {"kafka_username": "orders", "kafka_password": "secret"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (ACCOUNT, "KAFKA_SECURITY_PROTOCOL=PLAINTEXT does not use KAFKA_USERNAME"),
        ({"kafka_username": "orders"}, "say SASL_SSL"),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_username": "orders"},
            "needs KAFKA_USERNAME and KAFKA_PASSWORD",
        ),
        ({"kafka_ca_file": __file__}, "does not use KAFKA_CA_FILE"),
        ({"kafka_security_protocol": "SSL", "kafka_ca_file": "/nowhere.pem"}, "there is no file /nowhere.pem"),
        (
            {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN", **ACCOUNT},
            "would send the password readable",
        ),
    ],
)
def test_a_misfit_is_refused_in_words(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        KafkaSettings(**given)


def test_addresses_alone_are_not_shown_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_USERNAME": "a", "KAFKA_PASSWORD": "b"}.items():
        monkeypatch.setenv(name, value)
    assert kafka.librdkafka("other:9092") == {"bootstrap.servers": "other:9092", "security.protocol": "PLAINTEXT"}
    assert kafka.librdkafka(KafkaSettings())["sasl.password"] == "b"
