"""`icn worker`: the stages of the network."""

from __future__ import annotations

import signal
import sys
import time

import click

from streams.cli.show import network, say
from streams.errors import BrokerError

BROKER_PATIENCE_S = 60


@click.command()
@click.argument("stages", nargs=-1, metavar="[STAGE]…")
@click.option("--no-ticks", is_flag=True, help="Don't emit ticks from this worker.")
def worker(stages: tuple[str, ...], no_ticks: bool) -> None:
    """Run stages (default: all), one process each, until Ctrl-C or SIGTERM.

    Several workers share the partitions. A stage that ends is restarted; all end with the worker, also when it is killed.

    \b
    Example:
      icn worker                 all stages
      icn worker s1 s2           only these
      icn worker s3              all of that depth
    """
    from streams.audit.record.process import try_process_log
    from streams.broker.admin import Admin, wanted_topics
    from streams.broker.deployment_key import claim
    from streams.runtime.children import AuditedChildren
    from streams.runtime.rules import rule_version
    from streams.runtime.supervisor import Slot, Supervisor, worker_modules
    from streams.runtime.worker import hold_on_to_lifeline, setup_logging

    hold_on_to_lifeline()  # of icn up, or icn soak
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the supervisor has its own handler
    topology, settings = network()
    named = [one for stage in stages for one in topology.named(stage)]
    names = list(dict.fromkeys(named or [*topology.agents, *topology.windows]))
    started = time.monotonic()
    while True:
        try:
            Admin(settings).require(topology, [topic.name for topic in wanted_topics(topology)])
            claim(topology, settings)
            break
        except BrokerError as error:  # it answered a moment ago: a broker that restarts is waited for
            if time.monotonic() - started > BROKER_PATIENCE_S:
                raise
            say(f"{error.args[0]}; trying again")
            time.sleep(1)
    setup_logging()
    slot = Slot(settings.state)
    modules = worker_modules([name for name in names if name in topology.agents], slot.number)
    modules |= {name: [f"streams.agents.{name}"] for name in names if name in topology.windows}
    told_of_time = any("control" in topology.agents[name].reads for name in names if name in topology.agents)
    # in a simulated deployment whoever compresses time also emits its ticks
    if not no_ticks and not topology.simulated and told_of_time:
        modules["ticks"] = ["streams.agents.ticks"]
    audit = try_process_log(topology, settings, f"worker-{slot.number}", rule_version(topology))
    code = Supervisor(modules, AuditedChildren(audit, settings.state)).run()
    if audit is not None:
        audit.close(code)
    sys.exit(code)
