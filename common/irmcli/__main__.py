"""Run `irmexport` as `python -m irmcli`."""

from irmcli.main import main

main(prog_name="irmexport")
