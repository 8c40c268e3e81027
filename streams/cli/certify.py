"""`icn certify`: the system tries to falsify itself."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from streams.cli.certify_faults import certify_faults
from streams.cli.show import json_option, network, print_json, say, table

FOLDER = "certify"


@click.command()
@click.argument("names", nargs=-1, metavar="[TRIAL]…")
@click.option(
    "--controls", is_flag=True, help="Each trial once more with a part that is broken on purpose: it must fail."
)
@click.option("--keep", is_flag=True, help="Keep topics and broker data, to look up the evidence's coordinates.")
@click.option("--seed", type=int, help="Of all chance in it; printed, so that a failure can be seen again.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a report that needs nothing else.")
@click.option("--check", type=click.Path(path_type=Path), help="A certificate: verify it, and the evidence beside it.")
@click.option("--key", help="With --check: the public key it must be signed with (base64).")
@click.option("--duration", default="1h", show_default=True, help="Of the soak: 1h, 10m.")
@click.option("--list", "listing", is_flag=True, help="Say what is tried, and how each could fail.")
@json_option
def certify(
    names: tuple[str, ...],
    controls: bool,
    keep: bool,
    seed: int | None,
    html: Path | None,
    check: Path | None,
    key: str | None,
    duration: str,
    listing: bool,
    as_json: bool,
) -> None:
    """Try to prove the network wrong, twelve ways, on a real broker with real processes; sign what came of it.

    Without --broker a local Kafka is started for it. Deployments of its own are used, never yours. `matrix` makes fault after fault
    (kill -9, a cut network, a full disk …) while nodes send; `soak` goes on with that by chance. Both start brokers of their own.

    Exit code 0: all holds. 1: something does not, or a control was not noticed. 2: it could not be tried.

    \b
    Example:
      icn certify                          all twelve, some minutes
      icn certify blackout conservation    two of them
      icn certify --controls --html report.html
      icn certify matrix                   all faults; icn certify matrix zombie: one of them
      icn certify soak --duration 10m --seed 7
      icn certify --check .icn/certify/certificate.json
    """
    from streams.certify.suite import named

    if listing:
        _list(as_json)
        return
    if check is not None:
        sys.exit(_check(check, key, as_json))
    if names[:1] in (("matrix",), ("soak",)):
        sys.exit(certify_faults(names, duration, seed, as_json))
    claims = named(names)
    seed = random.randrange(1 << 30) if seed is None else seed
    with _broker(keep) as (settings, topology, folder, kafka):
        say(f"seed {seed}: icn certify {' '.join(names)}{' ' * bool(names)}--seed {seed} does the same again")
        made = _certificate(settings, topology, folder, kafka, claims, seed, controls, keep)
    _write(made, folder, html)
    if keep:
        say(f"to look up evidence: icn --state {folder} broker start, then")
        say(f"icn --topology {folder}/now/topology.yaml cat TOPIC --partition P --offset N --count 1")
    if as_json:
        print_json(made)
    else:
        _show(made, folder, html)
    sys.exit(0 if made["passed"] else 1)


@contextmanager
def _broker(keep: bool) -> Iterator[tuple[Any, Any, Path, str]]:
    """The given one, else one for this; with its version where we know it."""
    from streams.broker.java import KAFKA_VERSION
    from streams.broker.local import LocalBroker

    topology, settings = network(broker=False)
    folder = settings.state.absolute() / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = os.environ.get("ICN_BROKERS", "")
    if given:
        yield given, topology, folder, ""
        return
    broker = LocalBroker(folder)
    try:
        yield broker.start(owned=True, say=say), topology, folder, KAFKA_VERSION
    finally:
        broker.stop()
        if not keep:
            shutil.rmtree(folder / "broker", ignore_errors=True)


def _certificate(
    brokers: str, topology: Any, folder: Path, kafka: str, claims: Any, seed: int, with_controls: bool, keep: bool
) -> dict[str, Any]:
    """Signed."""
    from streams.audit.seal.keys import private_key
    from streams.certify import certificate, suite
    from streams.certify import controls as tried_with
    from streams.certify.claims import CLAIMS

    began = time.monotonic()
    results = suite.run(brokers, folder, claims, seed, keep, say, _say_result)
    controls = []
    for claim in claims if with_controls else ():
        say(f"control of {claim.name}: {tried_with.what_is_broken(claim)} …")
        controls.append(tried_with.run(brokers, folder / "controls" / claim.name, claim, seed))
        say(f"  {'noticed' if controls[-1].caught else 'NOT NOTICED'}: {controls[-1].told}")
    evidence = [Path(at) for result in results for at in result.checks.evidence if at.endswith(".icnaudit")]
    for path in evidence:
        shutil.copyfile(path, folder / path.name)
    body = {
        "made_ms": time.time_ns() // 1_000_000,
        "seconds": round(time.monotonic() - began, 1),
        "passed": all(result.passed for result in results) and all(control.caught for control in controls),
        "trials": [claim.name for claim in CLAIMS],
        "seed": seed,
        "versions": certificate.versions(kafka),
        "commit": certificate.commit(),
        "configuration": certificate.configuration(topology),
        "results": [result.json() for result in results],
        "controls": [control.json() for control in controls] if with_controls else None,
        "evidence": {path.name: certificate.sha256_of(path) for path in evidence},
    }
    return certificate.sign(body, private_key(folder.parent / "keys", "certifier"))


def _say_result(result: Any) -> None:
    word = "holds" if result.passed else "FAILED"
    said = result.stuck or _headline(result.json())
    say(
        f"  {result.claim.number:2} {result.claim.title}: {word}; {said}; {result.checks.facts:,} facts, {result.seconds:.0f} s"
    )


def _headline(one: dict[str, Any]) -> str:
    """The figure of the check that its control must break."""
    return next((check["measured"] for check in one["checks"] if check["check"] == one["headline"]), "-")


def _write(made: dict[str, Any], folder: Path, html: Path | None) -> None:
    import json

    from streams.certify.page import page

    (folder / "certificate.json").write_text(json.dumps(made, indent=1))
    if html is not None:
        html.write_text(page(made), encoding="utf-8")


def _show(made: dict[str, Any], folder: Path, html: Path | None) -> None:
    controls = {one["name"]: "noticed" if one["caught"] else "NOT NOTICED" for one in made["controls"] or ()}
    table(
        ("#", "trial", "result", "measured", "facts", "faults", "seconds", "control"),
        [
            (
                one["number"],
                one["title"],
                "holds" if one["passed"] else "FAILED",
                _headline(one),
                f"{one['facts']:,}",
                one["faults"],
                f"{one['seconds']:.0f}",
                controls.get(one["name"], "-"),
            )
            for one in made["results"]
        ],
    )
    for one in made["results"]:
        for check in one["checks"]:
            if not check["holds"]:
                click.echo(f"{one['title']}: {check['check']}: {check['wrong']} of {check['facts']} facts against it")
                for example in check["examples"]:
                    click.echo(f"  {example}")
        if one["stuck"]:
            click.echo(f"{one['title']}: stuck: {one['stuck']}; see {folder}/*/workers.log")
    for one in made["controls"] or ():
        if not one["caught"]:
            click.echo(f"{one['name']}: its control is not noticed, so its trial proves nothing: {one['told']}")
    say(f"{folder / 'certificate.json'}{f' and {html}' if html else ''} written; signed with {made['key']}")


def _list(as_json: bool) -> None:
    from streams.certify.claims import CLAIMS
    from streams.certify.controls import what_is_broken

    rows = [claim._asdict() | {"control": what_is_broken(claim)} for claim in CLAIMS]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['number']:2} {row['name']}: {row['says']}")
        click.echo(f"   false if {row['false_if']}")
        click.echo(f"   control: {row['control']}")


def _check(path: Path, key: str | None, as_json: bool) -> int:
    from streams.certify import certificate

    found = certificate.read(path)
    wrong = certificate.objections(found, path.parent, key)
    if as_json:
        print_json({"valid": not wrong, "objections": wrong, "key": found.get("key"), "commit": found.get("commit")})
        return 1 if wrong else 0
    for one in wrong:
        click.echo(one)
    if not wrong:
        facts = sum(one["facts"] for one in found["results"])
        click.echo(f"valid: {len(found['results'])} trials hold, {facts:,} facts, commit {found['commit'] or '?'}")
        told = "the one you named" if key else "whose that is you must know from elsewhere (--key)"
        click.echo(f"signed with {found['key']}: {told}")
    return 1 if wrong else 0
