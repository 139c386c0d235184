"""Run `irmexport` as `python -m irmcli`."""

from __future__ import annotations

from irmcli.main import main

main(prog_name="irmexport")
