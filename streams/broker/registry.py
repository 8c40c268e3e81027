"""A schema registry for outsiders: `Schemas`, kept in a topic. Our own processes need none: schemas/ids.yaml fixes their ids.

It starts from the files; the compacted topic `_schemas` holds only what was added over HTTP. Without a broker that is kept in memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from streams.broker.admin import Admin
from streams.broker.schemas import BAD_LEVEL, LEVELS, Refused, Schemas, Version
from streams.errors import BrokerError, ContractError
from streams.settings import Settings
from streams.topology import Topology

BROKER_S = 30  # longest wait for the broker
BROKER_HINT = "is the broker running? icn broker status"


def _key(keytype: str, subject: str | None, version: int | None) -> str:
    return json.dumps({"keytype": keytype, "subject": subject, "version": version}, ensure_ascii=False)


class Log:
    """The topic `<deployment>._schemas`. Blocking. A deployment has one writer: the registry that opened it last.

    A write that fails closes the log, for it may have happened after all. Opening it again ends the transaction for
    good, one way or the other, and reads what is true; so no id is given out twice, even by two registries.
    """

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology, self.settings = topology, settings
        self.topic = topology.topic("_schemas").name
        self._producer: Any = None

    @property
    def is_open(self) -> bool:
        """Whether what `open` returned, and what was written since, is all there is."""
        return self._producer is not None

    def open(self) -> dict[str, str]:
        """Become the writer; the newest value of each key. Raises BrokerError; ContractError: topic not as planned."""
        from confluent_kafka import KafkaException, Producer

        from streams.broker.topics import fold

        Admin(self.settings).require(self.topology, [self.topic])
        transactional = {"transactional.id": f"{self.topology.deployment}-registry"}  # one for all: the newest fences
        producer = Producer(self.settings.librdkafka_producer(**transactional))
        try:
            producer.init_transactions(BROKER_S)
        except KafkaException as error:
            raise BrokerError(f"{self.topic}: {error.args[0].str()}", BROKER_HINT) from error
        # only now: whatever another registry had begun is committed or aborted, so the end is the end
        records = {message.key().decode(): message.value() for message in fold(self.settings, self.topic)}
        self._producer = producer
        return {key: value.decode() for key, value in records.items() if value is not None}

    def write(self, key: str, value: Mapping[str, Any]) -> None:
        """Add one record; on return it is committed. Raises BrokerError, and is closed then."""
        from confluent_kafka import KafkaException

        try:
            self._producer.begin_transaction()
            self._producer.produce(self.topic, json.dumps(value, ensure_ascii=False), key)
            self._producer.commit_transaction(BROKER_S)
        except (KafkaException, BufferError) as error:
            self.close()
            raise BrokerError(f"{self.topic}: not written: {error}", BROKER_HINT) from error

    def close(self) -> None:
        """Let go of the broker, without waiting for it."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None


class Registry:
    """The schemas and where they are kept. Changes go one at a time: judged, written, and only then seen."""

    def __init__(self, topology: Topology, log: Log | None) -> None:
        self.topology, self.log = topology, log
        self.schemas = self._load()
        self._turn = asyncio.Lock()

    def _load(self) -> Schemas:
        schemas = Schemas.seeded(self.topology)
        if self.log is not None:
            try:
                schemas.replay(self.log.open())
            except ContractError:
                self.log.close()  # what is not understood must not be written to
                raise
        return schemas

    async def register(self, subject: str, text: str) -> Version:
        """Register a schema, or find it registered. Raises Refused or IcnError."""
        async with self._turn:
            await self._catch_up()
            if found := self.schemas.find(subject, text):
                return found
            version = self.schemas.next(subject, text)
            await self._write(_key("SCHEMA", subject, version.number), version.json())
            self.schemas.add(version.id, version.schema, [subject], version.number)
            return version

    async def set_level(self, subject: str | None, level: str) -> None:
        """Set the level of a subject; None: of all without their own. Raises Refused or IcnError."""
        if level not in LEVELS:
            raise Refused(BAD_LEVEL, f"Invalid compatibility level. Valid values are {', '.join(LEVELS)}")
        async with self._turn:
            await self._catch_up()
            await self._write(_key("CONFIG", subject, None), {"compatibilityLevel": level})
            self.schemas.set_level(subject, level)

    async def _catch_up(self) -> None:
        if self.log is not None and not self.log.is_open:
            self.schemas = await asyncio.to_thread(self._load)

    async def _write(self, key: str, value: Mapping[str, Any]) -> None:
        if self.log is not None:
            await asyncio.to_thread(self.log.write, key, value)
