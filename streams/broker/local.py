"""A real Apache Kafka (KRaft) as local processes: one broker, or three for tests that lose one.

Everything is under <state>/broker: one folder a node, and `bootstrap`, which tells other commands where it listens.
"""

from __future__ import annotations

import base64
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from streams.broker import java
from streams.broker.ports import free_port, is_free
from streams.broker.server_properties import LOG4J, server_properties
from streams.errors import BrokerError

FREE_MIN_BYTES = 256 << 20


def _silent(_: str) -> None:
    pass


def _die_with_parent() -> None:
    """On Linux, a broker started for a test ends when the test run ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class LocalBroker:
    """Start, stop and look at the brokers of one folder."""

    def __init__(self, state: Path, nodes: int = 1, behind: tuple[int, int] | None = None) -> None:
        """behind: of a lone node, one more port, and the port of the proxy through which it is reached."""
        self.folder = state / "broker"
        self.nodes, self.behind = nodes, behind

    @property
    def bootstrap(self) -> str:
        """host:port,… of the running brokers, or the empty string."""
        path = self.folder / "bootstrap"
        return path.read_text().strip() if path.exists() else ""

    def pid(self, node: int = 1) -> int | None:
        """Process id of a running node."""
        try:
            pid = int((self.folder / str(node) / "pid").read_text())
            command = Path(f"/proc/{pid}/cmdline")
            if command.exists() and b"kafka.Kafka" not in command.read_bytes():
                return None  # the number has been given to somebody else
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def start(
        self, port: int = 0, *, owned: bool = False, say: Callable[[str], None] = _silent, timeout_s: float = 60
    ) -> str:
        """Start all nodes; return the bootstrap servers once they answer. `owned`: they end with this process.

        A second start on the same data goes on where it was, on the same ports. Raises BrokerError.
        """
        if self.pid() is not None:
            return self.bootstrap
        executable, classpath = java.find(say)
        self._require_room()
        ports = self._ports(port)
        say("starting Apache Kafka …")
        try:
            started = [self._start_node(node, ports, executable, classpath, owned) for node in range(1, self.nodes + 1)]
        except BrokerError:
            if not (self.folder / "1").exists():  # no node has these ports yet: the next try chooses anew
                (self.folder / "ports").unlink()
            raise
        bootstrap = ",".join(f"127.0.0.1:{client}" for client, _ in ports)
        try:
            self._wait(bootstrap, started, timeout_s)
        except KeyboardInterrupt:
            self.stop()
            raise
        (self.folder / "bootstrap").write_text(bootstrap)
        return bootstrap

    def _require_room(self) -> None:
        """Kafka halts in the middle of its work when the disk is full; before it starts, one can still say so."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise BrokerError(f"{self.folder}: {error.strerror}", "is the disk full, the folder writable?") from error
        if free < FREE_MIN_BYTES:
            raise BrokerError(
                f"{self.folder} has {free >> 20} MiB free; Apache Kafka wants {FREE_MIN_BYTES >> 20}",
                "free some, or put the state elsewhere with --state or ICN_STATE",
            )

    def start_node(self, node: int, *, owned: bool = False) -> None:
        """Start one node again after it was stopped or killed."""
        executable, classpath = java.find(_silent)
        process = self._start_node(node, self._ports(0), executable, classpath, owned)
        self._wait(f"127.0.0.1:{self._ports(0)[node - 1][0]}", [process], 60)

    def stop(self, timeout_s: float = 20) -> bool:
        """Stop all nodes cleanly (SIGTERM, then SIGKILL). True if one was running."""
        pids = [(node, self.pid(node)) for node in range(1, self.nodes + 1)]
        for _, pid in pids:
            if pid is not None:
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        for node, pid in pids:
            while pid is not None and self._alive(node, pid):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.05)
            (self.folder / str(node) / "pid").unlink(missing_ok=True)
        (self.folder / "bootstrap").unlink(missing_ok=True)
        return any(pid is not None for _, pid in pids)

    def kill(self, node: int = 1) -> None:
        """kill -9 one node."""
        if (pid := self.pid(node)) is not None:
            os.kill(pid, signal.SIGKILL)
            while self._alive(node, pid):
                time.sleep(0.02)

    def _alive(self, node: int, pid: int) -> bool:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:  # our child: reap it
                return False
        except ChildProcessError:
            pass
        return self.pid(node) is not None

    def _ports(self, port: int) -> list[tuple[int, int]]:
        """(client port, controller port) of each node, chosen once and kept with the data."""
        path = self.folder / "ports"
        if path.exists():
            pairs = [(int(a), int(b)) for a, b in (line.split() for line in path.read_text().splitlines())]
        else:
            pairs = [(port + node if port else free_port(), free_port()) for node in range(self.nodes)]
            path.write_text("".join(f"{a} {b}\n" for a, b in pairs))
        return pairs

    def _start_node(
        self, node: int, ports: list[tuple[int, int]], executable: Path, classpath: str, owned: bool
    ) -> subprocess.Popen[bytes]:
        home = self.folder / str(node)
        client, controller = ports[node - 1]
        for number in (client, controller):
            if not is_free(number):
                raise BrokerError(
                    f"port {number} is in use",
                    f"stop what listens there, or remove {self.folder / 'ports'} to choose others",
                )
        home.mkdir(exist_ok=True)
        properties = home / "server.properties"
        properties.write_text(server_properties(node, home, ports, self.behind))
        (home / "log4j2.xml").write_text(LOG4J.format(log=home / "kafka.log"))
        heap = os.environ.get("ICN_KAFKA_HEAP", "512m")
        run = [
            str(executable),
            f"-Xmx{heap}",
            f"-Xms{heap}",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=50",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={home / 'log4j2.xml'}",
            "-cp",
            classpath,
        ]
        out = (home / "stdout.log").open("ab")
        if not (home / "data" / "meta.properties").exists():
            formatted = subprocess.run(
                [*run, "kafka.tools.StorageTool", "format", "-t", self._cluster_id(), "-c", str(properties)],
                stdout=out,
                stderr=out,
                check=False,
            )
            if formatted.returncode:
                raise BrokerError(
                    f"Apache Kafka could not format {home / 'data'}: {_last_line(home / 'stdout.log')}",
                    f"disk full? see {home / 'stdout.log'}",
                )
        process = subprocess.Popen(
            [*run, "kafka.Kafka", str(properties)],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=not owned,
            preexec_fn=_die_with_parent if owned else None,
        )
        out.close()
        (home / "pid").write_text(str(process.pid))
        return process

    def _cluster_id(self) -> str:
        path = self.folder / "cluster"
        if not path.exists():
            made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            path.write_text("A" + made[1:])  # one that begins with "-" would be an option on Kafka's command line
        return path.read_text()

    def _wait(self, bootstrap: str, started: list[subprocess.Popen[bytes]], timeout_s: float) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})
        deadline = time.monotonic() + timeout_s
        while True:
            if any(process.poll() is not None for process in started):
                raise BrokerError(
                    "Apache Kafka ended while starting",
                    f"see {self.folder}/*/kafka.log and stdout.log (disk full? port in use?)",
                )
            try:
                if len(admin.list_topics(timeout=1).brokers) >= len(started):
                    return
            except KafkaException:
                pass
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Apache Kafka did not answer within {timeout_s:.0f} s", f"see {self.folder}/*/kafka.log"
                )
            time.sleep(0.1)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").split("\n") if path.exists() else []
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "no word of it")
