"""The house: topology is what the code does, imports point one way, help has examples."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import click
import pytest

from streams.cli.main import COMMANDS, icn
from streams.runtime.stage import Context
from streams.topology import PACKAGE, load

# a folder may import what stands in its line, and itself
MAY_IMPORT = {
    "domain": set(),
    "audit": {"broker", "root"},
    "runtime": {"domain", "audit", "broker", "root"},
    "tables": {"domain", "runtime", "root"},
    "agents": {"domain", "tables", "runtime", "audit", "broker", "root"},
    "broker": {"domain", "root"},
    "replay": {"domain", "broker", "runtime", "tables", "agents", "root"},
    "collectors": {"domain", "audit", "broker", "sdk", "root"},
    "sdk": {"domain", "audit", "broker", "root"},
    "watch": {"domain", "broker", "sdk", "audit", "agents", "replay", "root"},
    "exporter": {"domain", "watch", "root"},
    "dashboard": {"domain", "watch", "root"},
}
ROOT_LIBRARIES_OF_THE_CORE = {
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "itertools",
    "math",
    "re",
    "struct",
    "typing",
    "unicodedata",
    "numpy",
    "scipy",
    "sklearn",
    "streams",
    "__future__",
    "bisect",
}


def imports(path: Path) -> set[str]:
    """Modules imported anywhere in a file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_imports_point_one_way(folder: str) -> None:
    """settings, topology, codec <- runtime <- tables <- agents -> domain."""
    for path in (PACKAGE / folder).rglob("*.py"):
        for module in imports(path):
            if module.startswith("streams."):
                part = module.split(".")[1]
                place = part if (PACKAGE / part).is_dir() else "root"
                assert place in MAY_IMPORT[folder] | {folder}, f"{path.relative_to(PACKAGE)} imports {module}"


def test_what_verifies_a_bundle_needs_nothing_of_ours_but_itself() -> None:
    """streams/audit/verify: the byte layout, the errors, and one package for Ed25519. No Kafka."""
    own = ("streams.audit.verify", "streams.audit.layout", "streams.errors")
    files = list((PACKAGE / "audit" / "verify").glob("*.py"))
    for path in files:
        for module in imports(path):
            top = module.split(".")[0]
            assert (
                module.startswith(own) if top == "streams" else top == "cryptography" or top in sys.stdlib_module_names
            )
    assert len(files) > 8


def test_the_core_knows_no_kafka_no_clock_no_chance() -> None:
    """streams/domain: stdlib without time, random and os; numpy; scikit-learn."""
    for path in (PACKAGE / "domain").glob("*.py"):
        for module in imports(path):
            assert module.split(".")[0] in ROOT_LIBRARIES_OF_THE_CORE, f"{path.name} imports {module}"


@pytest.mark.parametrize("name", sorted(load().agents))
def test_topology_is_what_the_agents_declare(name: str) -> None:
    """A file per agent, its tables in topology's order, each from a file of streams/tables."""
    topology = load()
    agent = topology.agents[name]
    stage = importlib.import_module(f"streams.agents.{name}").stage(Context(topology, agent, bytes(8), bytes(32)))

    assert agent.tables == tuple(table.name for table in stage.tables)
    for table in agent.tables:
        assert (PACKAGE / "tables" / f"{table}.py").exists()


def test_every_agent_file_is_in_the_topology() -> None:
    """Prefix s<depth>_: a stage reads what less deep ones write; what comes back from deeper ones is declared as feedback."""
    topology = load()
    written_by = {alias: agent for agent in topology.agents.values() for alias in agent.writes}

    assert {path.stem for path in (PACKAGE / "agents").glob("s[0-9]_*.py")} == {*topology.agents, *topology.windows}
    assert all(
        int(written_by[alias].name[1]) < int(w.name[1])
        for w in topology.windows.values()
        for alias in w.reads
        if alias in written_by
    )
    for agent in topology.agents.values():
        for alias in agent.reads:
            if alias in written_by:
                comes_back = int(written_by[alias].name[1]) >= int(agent.name[1])
                assert comes_back == (alias in agent.feedback), (
                    f"{agent.name} reads {alias} of {written_by[alias].name}"
                )


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, click.Command]]:
    """All commands with their full names."""
    found: list[tuple[str, click.Command]] = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append((" ".join((*path, name)), command))
    return found


@pytest.mark.parametrize(("name", "command"), commands(icn))
def test_each_command_has_help_and_an_example(name: str, command: click.Command) -> None:
    """One imperative line, then how it is called."""
    assert command.help, f"icn {name} has no help"
    assert "Example:" in command.help, f"icn {name} has no example"
    assert f"icn {name}" in command.help, f"the example of icn {name} doesn't call it"


def test_commands_are_imported_only_when_used() -> None:
    """`icn lag` must not wait for Faust."""
    import subprocess
    import sys

    heavy = "'faust' in sys.modules or 'aiokafka' in sys.modules"
    code = f"import sys; from streams.cli.main import icn; icn.get_command(None, 'lag'); sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(COMMANDS) == set(icn.list_commands(None))
