"""`python -m irmcli` is `irmexport`."""

from __future__ import annotations

from irmcli.main import main

main(prog_name="irmexport")
