"""Promotion: what machines accepted comes into the outbox that they share, each row once, whatever fails."""

from __future__ import annotations

import csv
import io
from collections import Counter
from contextlib import suppress

import pytest
from irmcore.errors import DamageError, KeyMissing, OutboxBusy, StoreAway, StoreRefused
from irmcore.intake.accept import accept
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.ledger.recovery import read_ledger
from irmcore.intake.promotion import Promoted, promote
from irmcore.intake.run_result import RunResult
from irmcore.operations import operations
from irmcore.outbox import Outbox, rowkeys, runs, states
from irmcore.outbox import manifest as manifests
from irmcore.outbox.batch_files import read_history
from irmcore.outbox.on_store import layout, records
from irmcore.outbox.on_store.commit_log import COMMIT
from irmcore.outbox.on_store.shared import KEY, SETTINGS, SharedOutbox
from irmcore.outbox.transitions import write_ended
from irmcore.profile import Profile, parse, shipped_text

from tests.common.irmcore.intake.test_accept import HEADER, ORIGIN, WHERE, table
from tests.common.irmcore.profiles import profile
from tests.fakes.clock import FakeClock
from tests.fakes.powerloss import Killed, PowerLossDisk
from tests.fakes.shared_outbox import machine
from tests.fakes.store import Fault, MemoryService, MemoryStore, Plan, no_fault
from tests.fakes.transport import FakeTransport

DAY = "2026-01-05"
ANNA, BEN, CARL = (f"{name}@contoso.com,{DAY}T10:00:00Z,1,a\r\n" for name in ("anna", "ben", "carl"))
NEXT_DAY = "dora@contoso.com,2026-01-06T10:00:00Z,1,a\r\n"


class Member:
    """A machine with an outbox of its own, beside a store that others use too."""

    def __init__(self, service: MemoryService, name: str, plan: Plan = no_fault) -> None:
        self.disk = PowerLossDisk()
        self.disk.make_dir("/outbox")
        self.clock = FakeClock()
        self.name = name
        self.service = service
        self.outbox = Outbox(self.disk, self.clock, f"/outbox/{name}")
        self.shared = self.shared_with(plan)

    def shared_with(self, plan: Plan) -> SharedOutbox:
        """The shared outbox as a new process sees it."""
        return SharedOutbox(MemoryStore(self.service, plan), self.clock, "az://account/container/demo")

    def accept(self, text: str, of: Profile | None = None, there: AcceptedThere | None = None) -> RunResult:
        """Accept rows here."""
        there = there or AcceptedThere(self.shared)
        return accept(
            table(HEADER + text), of or profile(), self.outbox, ORIGIN, destination=WHERE, there=there
        )

    def promote(self) -> list[Promoted]:
        """Promote what was accepted here."""
        return promote(self.outbox, self.shared)

    def send(self, text: str, of: Profile | None = None) -> tuple[RunResult, Promoted | None]:
        """Accept rows and promote them, as a command does."""
        there = AcceptedThere(self.shared)
        done = self.accept(text, of, there)
        found = promote(self.outbox, self.shared, run=done.run, there=there)
        return done, found[-1] if found else None


def rows_there(member: Member) -> list[list[str]]:
    """The rows of all accepted batches, in the order in which they were accepted; each batch is checked."""
    shared, found = member.shared_with(no_fault), []
    for entry in shared.log.entries():
        for name in entry.batches:
            found += rows_of(shared, name)
    return found


def rows_of(shared: SharedOutbox, name: str) -> list[list[str]]:
    """The rows of a batch, whose manifest and row keys fit."""
    values = {key: shared.store.get(key) or b"" for key in shared.store.keys(f"batch/{name}/")}
    part = f"batch/{name}/"
    manifest = manifests.decode(values[f"{part}manifest"], name, shared.keyring)
    payload = b"".join(values[key] for key in sorted(values) if key.startswith(f"{part}payload"))
    assert layout.id_of(name) == manifest.id
    assert manifest.id == manifests.batch_id(shared.keyring, WHERE, "text/csv", payload)
    rows = list(csv.reader(io.StringIO(payload.decode(), newline="")))[1:]
    keys = [row for key, value in values.items() if "/rowkeys/20" in key for row in _rows(shared, value)]
    assert len(rows) == manifest.rows == len(keys)
    assert {row.batch for row in keys} == {bytes.fromhex(manifest.id)[:8]}
    if f"{part}{layout.ALL_ROWKEYS}" in values:
        assert sorted(_rows(shared, values[f"{part}{layout.ALL_ROWKEYS}"])) == sorted(keys)
    return rows


def _rows(shared: SharedOutbox, value: bytes) -> list[rowkeys.RowKey]:
    return list(rowkeys.unpack(rowkeys.unseal(shared.keyring, value)))


def users(rows: list[list[str]]) -> list[str]:
    """The names of the rows' users."""
    return [row[0].partition("@")[0] for row in rows]


def test_a_run_is_promoted_with_its_manifests_keys_and_settings() -> None:
    """Under the key of the shared outbox; the machine's own one has it as PROMOTED."""
    member = Member(MemoryService(), "one")
    member.outbox.create()
    member.outbox.replace_file(SETTINGS, b"the settings")
    done, promoted = member.send(ANNA + NEXT_DAY)
    assert promoted is not None
    assert (promoted.run, promoted.sizes, promoted.known) == (done.run, (2,), 0)
    assert promoted.batches != done.batches
    assert users(rows_there(member)) == ["anna", "dora"]
    assert member.shared.read_file(SETTINGS) == b"the settings"
    assert member.outbox.get(done.batches[0]).state.name == states.PROMOTED  # type: ignore[union-attr]
    assert member.promote() == []


def test_a_further_batch_costs_the_same_few_calls() -> None:
    """From promotion to receipt, however many there are in the run. Nothing is listed for each batch."""
    counts: list[Counter[str]] = []
    for batches in (10, 40, 70):
        calls = Counter[str]()

        def plan(verb: str, key: str, calls: Counter[str] = calls) -> None:
            calls[f"{verb} {key.partition('/')[0]}"] += 1

        member = Member(MemoryService(), "one", plan)
        text = "".join(f"u{n}@contoso.com,{DAY}T10:00:00Z,1,a\r\n" for n in range(batches))
        member.send(text, profile("limits: {rows: 1}\n"))
        sender = machine(MemoryStore(member.service, plan), member.clock, where=member.shared.where)
        assert sender.drain(FakeTransport()).sent == batches
        counts.append(calls)
    few, more, many = counts
    assert more - few == many - more
    assert {call: calls / 30 for call, calls in (many - more).items()} == {
        "create batch": 3,
        "create state": 3,
        "create audit": 1,
        "get state": 1,
        "get batch": 2,
    }


def test_rows_that_another_machine_promoted_are_skipped_while_shaping() -> None:
    """Also after this machine has forgotten its own, which are in the shared outbox now."""
    service = MemoryService()
    one, two = Member(service, "one"), Member(service, "two")
    one.send(ANNA + BEN)
    done, promoted = two.send(ANNA + BEN + CARL)
    assert (done.counts.shaped, done.counts.skipped) == (1, 2)
    assert promoted is not None
    assert promoted.known == 0
    again, nothing = one.send(ANNA + CARL)
    assert (again.counts.skipped, nothing) == (2, None)
    assert users(rows_there(one)) == ["anna", "ben", "carl"]


def test_rows_that_another_machine_promoted_meanwhile_fall_out() -> None:
    """After they were accepted here; the promotion says how many, and the rest is cut anew."""
    service = MemoryService()
    one, two = Member(service, "one"), Member(service, "two")
    done = one.accept(ANNA + BEN + NEXT_DAY)
    two.send(BEN)
    (promoted,) = one.promote()
    assert (promoted.run, promoted.sizes, promoted.known) == (done.run, (2,), 1)
    assert users(rows_there(one)) == ["ben", "anna", "dora"]
    (manifest,) = [
        manifests.decode(value, key, one.shared.keyring)
        for key, value in service.values.items()
        if key.endswith("/manifest") and promoted.batches[0] in key
    ]
    assert (manifest.counts.shaped, manifest.counts.skipped, manifest.rows) == (2, 1, 2)


def test_employee_profiles_are_promoted_once_in_each_refresh_period() -> None:
    """Of two machines with the same file, one promotes it; in the next period it is promoted once more."""
    made = parse(shipped_text("hr-employee-profiles"), "hr-employee-profiles.yaml")
    columns = [column.header for column in made.columns]
    line = ",".join(["anna@contoso.com", *("x" for _ in columns[1:])])
    service = MemoryService()
    machines = [Member(service, name) for name in ("one", "two")]
    promoted = []
    for _ in range(2):
        for one in machines:
            rows, there = table(f"{','.join(columns)}\n{line}\n"), AcceptedThere(one.shared)
            accept(rows, made, one.outbox, ORIGIN, destination=WHERE, there=there)
        for one in machines:
            promoted.append([len(found.batches) for found in one.promote()])
            one.clock.sleep(15 * 86_400)
    assert promoted == [[1], [0], [1], [0]]
    assert len([name for entry in machines[0].shared.log.entries() for name in entry.batches]) == 2


def test_a_run_of_which_nothing_is_left_is_done() -> None:
    """Nothing is written, and the machine's own batch is PROMOTED."""
    service = MemoryService()
    one, two = Member(service, "one"), Member(service, "two")
    done = one.accept(BEN)
    two.send(BEN)
    (promoted,) = one.promote()
    assert (promoted.batches, promoted.known) == ((), 1)
    assert one.outbox.get(done.batches[0]).state.name == states.PROMOTED  # type: ignore[union-attr]
    assert len(rows_there(one)) == 1


def test_a_time_that_another_machine_took_meanwhile_is_left_to_it() -> None:
    """With `spread` the row gets the next time that its profile allows, in its own batch."""
    service = MemoryService()
    spread = profile("collisions: {policy: spread, step: 1s}\n")
    one, two = Member(service, "one"), Member(service, "two")
    # Rows of one user in one hour, of which 3,600 times are to be had: some choose the same one.
    first = "".join(f"anna@contoso.com,{DAY}T10:00:00Z,1,a{n}\r\n" for n in range(150))
    second = "".join(f"anna@contoso.com,{DAY}T10:00:00Z,1,b{n}\r\n" for n in range(150))
    one.accept(first, spread)
    two.send(second, spread)
    assert {row[1] for row in rows_there(two)} & set(times_here(one)), "no time was taken twice"
    one.promote()
    found = rows_there(one)
    assert len(found) == 300
    assert len({row[1] for row in found}) == 300, "the service would drop a row"


def test_a_row_that_moves_for_another_machine_keeps_its_precision() -> None:
    """A pair that is taken at full precision moves within its millisecond, as it does in a run."""
    service = MemoryService()
    spread, time = profile(schema=2), f"{DAY}T10:00:00.123456"
    one, two = Member(service, "one"), Member(service, "two")
    one.accept(f"anna@contoso.com,{time}Z,1,a\r\n", spread)
    two.send(f"anna@contoso.com,{time}Z,1,b\r\n", spread)
    assert times_here(one) == [row[1] for row in rows_there(two)] == [f"{time}+00:00"]
    one.promote()
    moved = rows_there(one)[-1][1]
    assert moved != f"{time}+00:00"
    assert moved[:23] == time[:23]


def times_here(member: Member) -> list[str]:
    """The times of the rows in a machine's own outbox."""
    rows = [
        row
        for batch in member.outbox.ready()
        for row in list(
            csv.reader(io.StringIO(member.disk.read(f"{batch.path}/payload").decode(), newline=""))
        )[1:]
    ]
    return [row[1] for row in rows]


def test_a_time_that_another_machine_took_is_refused_where_the_profile_spreads_nothing() -> None:
    """The row is in a reject file before the run is committed without it."""
    service = MemoryService()
    of = profile("collisions: {policy: reject}\n")
    one, two = Member(service, "one"), Member(service, "two")
    one.accept(ANNA + BEN, of)
    two.send(f"anna@contoso.com,{DAY}T10:00:00Z,1,another\r\n", of)
    (promoted,) = one.promote()
    assert promoted.refused == Counter({"collision": 1})
    assert promoted.rejects is not None
    assert b"anna@contoso.com" in one.disk.read(promoted.rejects)
    assert runs.reject_files(one.outbox, promoted.run) == [promoted.rejects]
    assert runs.is_of_promotion(promoted.rejects)
    runs.delete_before(one.outbox, one.clock.now() + 60)
    assert runs.reject_files(one.outbox) == []
    assert promoted.sizes == (1,)
    assert users(rows_there(one)) == ["anna", "ben"]


def test_runs_are_promoted_in_their_order() -> None:
    """Each with a record of its own."""
    member = Member(MemoryService(), "one")
    made = []
    for row in (ANNA, BEN, CARL):
        made.append(member.accept(row).run)
        member.clock.advance(1)
    assert [promoted.run for promoted in member.promote()] == made
    assert users(rows_there(member)) == ["anna", "ben", "carl"]


def test_a_proposed_batch_stays_proposed() -> None:
    """There too it must not be sent before a second person releases it."""
    member = Member(MemoryService(), "one")
    member.send(ANNA, profile("release: approve\n"))
    ((name, _),) = member.shared.log.open()
    first = records.decode(member.shared.store.get(f"{layout.states_prefix(name)}000000000000") or b"")
    assert first["name"] == states.PROPOSED


def test_a_withdrawn_row_may_be_accepted_again_by_any_machine() -> None:
    """Its mark alone does not count; the newest state does."""
    service = MemoryService()
    one, two = Member(service, "one"), Member(service, "two")
    one.send(ANNA + BEN)
    ((name, _),) = one.shared.log.open()
    one.shared.store.create(layout.withdrawn_key(DAY, name), b"x")
    assert two.send(ANNA)[0].counts.skipped == 1
    key = f"{layout.states_prefix(name)}000000000000"
    one.shared.store.create(key, records.encode(name=states.WITHDRAWN))
    for member, skipped in ((two, 0), (one, 1), (two, 1)):
        assert member.send(ANNA)[0].counts.skipped == skipped
    # The machine that had accepted it is not stopped by its own copy of the batch.
    assert one.send(BEN)[0].counts.skipped == 0
    assert users(rows_there(one)) == ["anna", "ben", "anna", "ben"]


def test_what_a_person_withdrew_here_is_not_promoted() -> None:
    """Nor is a damaged batch, which is quarantined; the rest of the run goes on."""
    member = Member(MemoryService(), "one")
    small = profile("limits: {rows: 1}\n")
    done = member.accept(ANNA + BEN + CARL, small)
    gone, damaged, _ = map(member.outbox.get, done.batches)
    write_ended(member.outbox, gone, states.WITHDRAWN, "withdrawn")
    member.disk.write_at(f"{damaged.path}/payload", 0, b"X")
    (promoted,) = member.promote()
    assert len(promoted.batches) == 1
    assert users(rows_there(member)) == ["carl"]
    assert [batch.id for batch in member.outbox.quarantined()] == [damaged.id]


def test_while_the_store_is_away_rows_stay_here() -> None:
    """And are promoted later. What was accepted there before falls out then."""
    service = MemoryService()
    member = Member(service, "one")
    member.send(ANNA)
    away = member.shared_with(lambda *_: Fault.AWAY)
    there = AcceptedThere(away)
    done = member.accept(ANNA + BEN, there=there)
    assert (there.away is not None, done.counts.shaped) == (True, 2)
    with pytest.raises(StoreAway):
        promote(member.outbox, away, run=done.run, there=there)
    (promoted,) = member.promote()
    assert (promoted.sizes, promoted.known) == ((1,), 1)
    assert users(rows_there(member)) == ["anna", "ben"]


def test_only_one_process_of_a_machine_promotes() -> None:
    """The other one waits, and then says so."""
    member = Member(MemoryService(), "one")
    member.accept(ANNA)
    lock = member.outbox.sender_lock()
    assert lock is not None
    with pytest.raises(OutboxBusy, match="another process is promoting"):
        promote(member.outbox, member.shared, timeout=1.0)
    lock.release()
    assert len(member.promote()) == 1


@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name)
def test_a_promotion_goes_on_after_a_fault_at_any_call(fault: Fault) -> None:
    """Of the store: nothing is lost, nothing there twice, and an orphan is removed."""
    at = 0
    while True:
        service = MemoryService()
        other, member = Member(service, "two"), Member(service, "one")
        member.accept(ANNA + BEN + NEXT_DAY)
        other.send(BEN)
        calls = 0

        def plan(verb: str, key: str, at: int = at) -> Fault | None:
            nonlocal calls
            calls += 1
            return fault if calls - 1 == at else None

        member.shared = member.shared_with(plan)
        try:
            member.promote()
        except (StoreAway, StoreRefused, Killed):
            member.shared = member.shared_with(no_fault)
            restart(member)
            member.promote()
        for _ in range(20):
            service.called()  # what comes late comes now
        member.shared = member.shared_with(no_fault)
        restart(member)
        member.promote()
        assert sorted(users(rows_there(member))) == ["anna", "ben", "dora"], (fault, at)
        accepted = {name for entry in member.shared.log.entries() for name in entry.batches}
        late = fault is Fault.LATE  # of an orphan's part
        assert late or {name for name, _ in member.shared.log.open()} == accepted, (fault, at)
        assert again(member, ANNA + BEN + NEXT_DAY) == 0, (fault, at)
        if calls <= at:
            return
        at += 1


def restart(member: Member) -> None:
    """The process dies: its locks are free, and nothing in memory is left."""
    member.disk = member.disk.fork()
    member.outbox = Outbox(member.disk, member.clock, member.outbox.path)


def again(member: Member, text: str) -> int:
    """How many of the rows a new run would accept again."""
    return member.accept(text).counts.shaped


def test_a_promotion_goes_on_after_a_power_loss_at_any_write() -> None:
    """Of the machine's own disk."""
    at = 1
    while True:
        service = MemoryService()
        member = Member(service, "one")
        member.accept(ANNA + NEXT_DAY)
        member.disk.kill_at = member.disk.operations + at
        try:
            member.promote()
            killed = False
        except Killed:
            killed = True
        restart(member)
        member.shared = member.shared_with(no_fault)
        member.promote()
        assert sorted(users(rows_there(member))) == ["anna", "dora"], at
        assert again(member, ANNA + NEXT_DAY) == 0, at
        commits = [entry for entry in member.shared.log.entries() if entry.kind == COMMIT]
        assert len(commits) == 1, at
        assert read_ledger(member.outbox) is not None
        if not killed:
            return
        at += 1


def test_promoted_batches_stay_promoted_after_a_power_loss() -> None:
    """Their states and their line in the audit log are durable once their run is promoted."""
    member = Member(MemoryService(), "one")
    member.disk.sync_dir("")
    member.accept(ANNA + NEXT_DAY, profile("limits: {rows: 1}\n"))
    member.promote()
    for disk in member.disk.after_power_loss():
        outbox = Outbox(disk, member.clock, member.outbox.path)
        assert [batch.state.name for batch in outbox.all_batches() if batch.state] == ["PROMOTED"] * 2
        for batch in outbox.all_batches():
            assert [event["event"] for event in read_history(outbox, batch)] == ["promoted"]


def test_a_batch_that_was_quarantined_is_promoted_once_it_is_whole_again() -> None:
    """Though its run was promoted without it: it must not be taken for a part of that."""
    member = Member(MemoryService(), "one")
    done = member.accept(ANNA + BEN, profile("limits: {rows: 1}\n"))
    first, _ = map(member.outbox.get, done.batches)
    whole = member.disk.read(f"{first.path}/payload")
    member.disk.write_at(f"{first.path}/payload", 0, b"X")
    member.promote()
    (quarantined,) = member.outbox.quarantined()
    member.disk.write_at(f"{quarantined.path}/payload", 0, whole)
    operations.requeue(member.outbox, first.id, who="anna", why="restored")
    (promoted,) = member.promote()
    assert promoted.sizes == (1,)
    assert sorted(users(rows_there(member))) == ["anna", "ben"]


def test_a_promotion_that_was_killed_while_it_marked_batches_counts_its_rows_once() -> None:
    """What it says afterwards is what is there, not more and not less."""
    at = 1
    while True:
        service = MemoryService()
        one, two = Member(service, "one"), Member(service, "two")
        one.accept(ANNA + BEN + CARL + NEXT_DAY, profile("limits: {rows: 1}\n"))
        two.send(BEN)
        one.disk.kill_at = one.disk.operations + at
        with suppress(Killed):
            one.promote()
            return
        restart(one)
        one.shared = one.shared_with(no_fault)
        for promoted in one.promote():
            assert (promoted.known, sum(promoted.sizes)) == (1, 3), at
        at += 1


def test_a_lost_key_is_not_replaced_by_a_new_one() -> None:
    """Nobody could read what is there, and rows would be accepted again: it is restored first."""
    service = MemoryService()
    one, two = Member(service, "one"), Member(service, "two")
    one.send(ANNA)
    (key,) = [name for name in service.values if name.startswith(layout.file_prefix(KEY))]
    value = service.values[key]
    service.change(key, None)
    two.accept(NEXT_DAY)
    with pytest.raises(KeyMissing, match="soft-deleted blobs"):
        two.promote()
    assert key not in service.values
    service.change(key, value)
    two.promote()
    assert users(rows_there(one)) == ["anna", "dora"]


def test_another_version_of_the_profile_changes_nothing_about_what_is_known() -> None:
    """A row is known although the machine that was quicker has other rules; this one's own apply to it."""
    service = MemoryService()
    one, two = Member(service, "one"), Member(service, "two")
    changed = ANNA.replace(",1,a", ",2,a")
    one.accept(changed + BEN + CARL, profile("on_change: skip\ncollisions: {policy: keep-greatest}\n"))
    two.send(ANNA + BEN, profile("limits: {rows: 1}\ncollisions: {policy: reject}\n"))
    (promoted,) = one.promote()
    assert (promoted.sizes, promoted.known) == ((1,), 2)
    assert users(rows_there(one)) == ["anna", "ben", "carl"]


@pytest.mark.parametrize("behind", [300.0, -300.0], ids=["behind", "ahead"])
def test_clocks_that_differ_by_five_minutes_change_nothing(behind: float) -> None:
    """The log alone says who came first."""
    service = MemoryService()
    one, two = Member(service, "one"), Member(service, "two")
    two.clock = FakeClock(one.clock.now() - behind)
    two.outbox = Outbox(two.disk, two.clock, two.outbox.path)
    two.shared = two.shared_with(no_fault)
    one.accept(ANNA + BEN)
    two.send(BEN + CARL)
    assert one.promote()[0].known == 1
    assert two.send(ANNA + BEN + CARL)[0].counts.skipped == 3
    assert users(rows_there(one)) == ["ben", "carl", "anna"]


@pytest.mark.parametrize("prefix", ["log/", "files/outbox.json/", "batch/"], ids=str)
def test_what_a_later_version_wrote_is_refused(prefix: str) -> None:
    """With the advice to update, and nothing is accepted; whatever kind of record it is."""
    service = MemoryService()
    one, two = Member(service, "one"), Member(service, "two")
    one.send(ANNA)
    two.accept(ANNA + BEN)
    for key in [key for key in service.values if key.startswith(prefix)]:
        if "/rowkeys/" in key or prefix != "batch/":
            value = service.values[key]
            service.values[key] = (
                value.replace(b'"v":1', b'"v":2').replace(b'"format":', b'"form":')
                if b"irmkeys" not in value
                else value.replace(b"irmkeys\n\0\x01", b"irmkeys\n\0\x02")
            )
    before = dict(service.values)
    with pytest.raises(DamageError, match="version"):
        two.promote()
    assert {key for key in service.values if key.startswith("log/")} == {
        key for key in before if key.startswith("log/")
    }
    assert two.outbox.count_ready() == 1


@pytest.mark.parametrize("indexed", [False, True])
def test_an_older_run_supersedes_no_newer_one_of_another_machine(indexed: bool) -> None:  # noqa: FBT001
    """The service would keep the number that comes last, so a row that a newer run has changed falls out."""
    service = MemoryService()
    old, new, newest = (Member(service, name) for name in ("one", "two", "three"))
    old.accept(ANNA + BEN)
    for member, seconds in ((new, 60), (newest, 120)):
        member.clock.advance(seconds)
    new.send(ANNA.replace(",1,a", ",2,a"))
    if indexed:
        new.shared.log.index()
    (promoted,) = old.promote()
    assert (promoted.sizes, promoted.known) == ((1,), 1)
    newest.send(ANNA.replace(",1,a", ",3,a"))
    assert [(row[0][:3], row[2]) for row in rows_there(old)] == [("ann", "2"), ("ben", "1"), ("ann", "3")]
