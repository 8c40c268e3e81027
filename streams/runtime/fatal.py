"""The end of a worker that can't go on: before Faust's `finally` would acknowledge what was not processed."""

from __future__ import annotations

import logging
import os
import traceback
from typing import NoReturn

from confluent_kafka import KafkaError, KafkaException

from streams.errors import EXIT_FATAL, Fatal, IcnError

log = logging.getLogger("icn.fatal")


def die(error: BaseException) -> NoReturn:
    """Log why, and end the process at once. The supervisor restarts it; the marker says where to go on."""
    if isinstance(error, (Fatal, IcnError)):
        log.critical("%s", error)
    elif isinstance(error, KafkaException):  # a broker that goes away in the middle of something
        log.critical("the broker: %s", error.args[0].str() if isinstance(error.args[0], KafkaError) else error)
    else:
        log.critical("unexpected: %s", "".join(traceback.format_exception(error)))
    logging.shutdown()
    os._exit(EXIT_FATAL)
