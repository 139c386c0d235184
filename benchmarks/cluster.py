"""A search in a search head cluster beside one on a single search head, and the promotion of its rows.

The sender runs beside each search, as on a search head; it has no secret, so it uploads nothing. KV store is
the fake of the tests, in this process: it answers at once and keeps everything in memory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.rows import splunk_bodies
from benchmarks.splunk import CHUNK, Bench, connectors, installed
from benchmarks.table import Line
from benchmarks.timing import put_away, race
from tests.fakes.splunk_cluster import Member, SearchHeadCluster
from tests.fakes.splunk_kv import KvCluster
from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_input import Input
from tests.needs import find_python


def measure(scratch: Path, *, rows: int, rounds: int) -> Iterator[Line]:
    """The lines of Splunk's newer Python on this machine."""
    python = find_python("3.13") or ""
    with SearchHeadCluster(scratch, installed(scratch), members=2) as cluster:
        cluster.configure(connectors())
        alone, member = cluster.members
        alone.splunkd.state.server = {**alone.splunkd.state.server, "server_roles": ["search_head"]}
        alone.splunkd.state.shcluster = {"disabled": True}
        for one in cluster.members:
            one.splunkd.sign_in("analyst-session", "ana", "irmexport_run", roles=("irmexport_user",))
        found = race(
            {
                "cluster": partial(_search, python, member, rows, scratch),
                "alone": partial(_search, python, alone, rows, scratch),
            },
            rounds,
        )
        waits = {name: f"{found.of[name]['wall']:.2f} s" for name in found.of}
        yield Line(
            f"`| irmexport` in a cluster, {rows:,} rows", "the same on a single search head",
            found.of["cluster"]["wall"] / found.of["alone"]["wall"], 1.15, 1.05, waits["cluster"],
            waits["alone"], least=False, details=dict(found.of),
        )  # fmt: skip
        promoted = race({"ours": partial(_promote, python, member, rows, scratch)}, rounds)
        speed = rows / promoted.of["ours"]["wall"] / 1000
        yield Line(
            f"rows of a run from a member's disk to the cluster's outbox, {rows:,} rows", "", speed, 5, 20,
            f"{promoted.of['ours']['wall']:.1f} s", "", unit=" k rows/s", details=dict(promoted.of),
        )  # fmt: skip


def _search(python: str, member: Member, rows: int, scratch: Path) -> dict[str, float]:
    """One search with a new outbox and the sender beside it."""
    bench = Bench(python, member.home, member.splunkd.uri, scratch)
    requests = bench.requests("search", list(splunk_bodies(rows, CHUNK)))
    _begin_anew(member)
    with Input(python, member.home, member.splunkd):
        return bench.run(bench.ours, requests)


def _begin_anew(member: Member) -> None:
    """With nothing queued, neither on the member nor in KV store."""
    put_away(member.home.outbox)
    member.splunkd.state.kv = KvCluster().member()


def _promote(python: str, member: Member, rows: int, scratch: Path) -> dict[str, float]:
    """The time of the endpoint that promotes what a search has queued."""
    bench = Bench(python, member.home, member.splunkd.uri, scratch)
    _begin_anew(member)
    bench.run(bench.ours, bench.requests("search", list(splunk_bodies(rows, CHUNK))))
    handler = RestHandler(python, member.home, member.splunkd)
    begin = time.perf_counter()
    handler.pass_on("POST", "send_irmexport", "analyst-session", {})
    wall = time.perf_counter() - begin
    handler.end()
    last = [json.loads(line) for line in member.home.log.read_text().splitlines()]
    done = [line["rows"] + line["known"] for line in last if line["event"] == "promoted"]
    if done[-1:] != [rows]:
        raise RuntimeError(f"not promoted: {done[-1:]}")
    return {"wall": wall}
