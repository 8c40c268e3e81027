"""Where this process runs: topology's `local:` section, overridden by ICN_* in the environment.

The one place that configures Kafka clients: `librdkafka()` and `aiokafka()` say the same in two dialects.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.errors import BrokerError, TopologyError
from streams.topology import Topology
from streams.units import duration_ms, size_bytes


@dataclass(frozen=True)
class Settings:
    """Everything local. Times in milliseconds, sizes in bytes, as the names say."""

    brokers: str
    registry: str
    state: Path
    replication: int
    session_timeout_ms: int
    drain_deadline_ms: int
    watchdog_ms: int
    fetch_max_bytes: int
    security_protocol: str
    sasl_mechanism: str
    sasl_username: str
    sasl_password: str
    ssl_cafile: str
    ssl_certfile: str
    ssl_keyfile: str
    simulated_load: bool = False

    def require_brokers(self) -> str:
        """The bootstrap servers. Raises BrokerError where there are none."""
        if not self.brokers:
            raise BrokerError(
                f"no broker: none is given, and none was started with the state folder {self.state.absolute()}",
                "icn up starts a network here; or --state or ICN_STATE, where one was; or --broker or ICN_BROKERS=host:port",
            )
        return self.brokers

    def librdkafka(self, **more: Any) -> dict[str, Any]:
        """Configuration of any confluent-kafka client of this deployment."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.require_brokers(),
            "security.protocol": self.security_protocol,
            "log_level": 2,  # what fails is reported where it is asked; a broker that is away would fill the terminal
        }
        for name, value in (
            ("sasl.mechanism", self.sasl_mechanism),
            ("sasl.username", self.sasl_username),
            ("sasl.password", self.sasl_password),
            ("ssl.ca.location", self.ssl_cafile),
            ("ssl.certificate.location", self.ssl_certfile),
            ("ssl.key.location", self.ssl_keyfile),
        ):
            if value:
                config[name] = value
        return config | more

    def librdkafka_producer(self, **more: Any) -> dict[str, Any]:
        """A producer that loses nothing, and that partitions as Java, aiokafka and Faust do (librdkafka's default doesn't)."""
        return self.librdkafka(
            **{
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.max.bytes": 3 << 20,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 1 << 19,
            }
            | more
        )

    def librdkafka_reader(self, **more: Any) -> dict[str, Any]:
        """A consumer that sees only committed records, from the beginning, and commits nothing."""
        return self.librdkafka(
            **{
                "group.id": "icn-reader",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "fetch.message.max.bytes": 4 << 20,
                "queued.max.messages.kbytes": 1 << 16,
                "fetch.queue.backoff.ms": 10,  # its default makes a reader wait a second after each 100,000 records
            }
            | more
        )

    def aiokafka(self, **more: Any) -> dict[str, Any]:
        """The same for an aiokafka consumer: brokers, TLS, SASL, isolation level."""
        config: dict[str, Any] = {
            "bootstrap_servers": self.require_brokers().split(","),
            "security_protocol": self.security_protocol,
            "isolation_level": "read_committed",
        }
        if "SSL" in self.security_protocol:
            context = ssl.create_default_context(cafile=self.ssl_cafile or None)
            if self.ssl_certfile:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile or None)
            config["ssl_context"] = context
        if self.sasl_mechanism:
            config |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return config | more


def read_settings(topology: Topology, environ: Mapping[str, str] = os.environ, **given: str | None) -> Settings:
    """topology.local < ICN_* < what the command line gave. An empty `brokers` means the local broker, if one runs."""

    def value(name: str) -> str:
        if (flag := given.get(name)) is not None:
            return flag
        return str(environ.get(f"ICN_{name.upper()}", topology.local.get(name, "")))

    state = Path(value("state")).expanduser().absolute()
    brokers = value("brokers")
    if not brokers and (running := state / "broker" / "bootstrap").exists():
        brokers = running.read_text().strip()
    try:
        return Settings(
            brokers,
            value("registry"),
            state,
            int(value("replication")),
            duration_ms(value("session_timeout")),
            duration_ms(value("drain_deadline")),
            duration_ms(value("watchdog")),
            size_bytes(value("fetch_max")),
            value("security_protocol"),
            value("sasl_mechanism"),
            value("sasl_username"),
            value("sasl_password"),
            value("ssl_cafile"),
            value("ssl_certfile"),
            value("ssl_keyfile"),
            value("simulated_load").lower() in ("1", "true", "yes"),
        )
    except ValueError as error:
        raise TopologyError(f"{topology.source}: local: {error}", "see the comments in topology.yaml") from error
