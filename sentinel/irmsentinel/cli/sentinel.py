"""The group `irmexport sentinel`."""

from __future__ import annotations

import click

from irmsentinel.cli import check, collect, collector, content, export, query, run, subscribe


@click.group("sentinel")
def command() -> None:
    """Export from Microsoft Sentinel, collect alerts, deploy."""


for _command in (
    *(export.aggregations_, export.export, run.run, run.status),
    *(collector.settings_, subscribe.subscribe, collect.collect),
    *(collector.health, collector.emulator_),
    *(content.list_, content.template, content.package, check.check),
    *(query.samples_, query.query, query.emulator_),
):
    command.add_command(_command)
