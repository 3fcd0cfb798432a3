"""Ours and PostgreSQL's, in the same run, to the same clients."""

import glob
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import adbc_driver_flightsql.dbapi as flightsql
import psycopg
from adbc_driver_flightsql import DatabaseOptions
from product import TOKEN, Product, until

ROWS = int(sys.argv[1])
RUNS = 3
# Results read for one figure: the kernel counts CPU in hundredths of a second.
READS = 5
STATEMENTS = 2_000
CHECKS = 10
PIECE = 20_000
BEGIN = 1_767_225_600_000
# Nothing but what is asked for costs anything here: no checks, no detectors.
CONFIG = """
[host]
enabled = false
[foresight]
enabled = false
[sql]
timeout = "60s"
result_mb = 1024
"""
COLUMNS = "slot, value, tenant, check_id"
ALL = f"select {COLUMNS} from samples"
# Ten minutes of one check; both sides are asked with the same text.
SMALL = """select count(*), max(value) from samples where check_id = 'disk:/srv/3'
    and slot >= timestamptz '2026-01-01T01:00:00Z' and slot < timestamptz '2026-01-01T01:10:00Z'"""


class Postgres:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kizashi-pg-"))
        programs = shutil.which("initdb")
        found = [os.path.dirname(programs)] if programs else sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self.bin = found[-1]
        self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        if self.user:
            shutil.chown(self.folder, "postgres", "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.run("initdb", "-D", self.folder / "data", "-A", "trust", "-U", "bench")
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_parallel_workers_per_gather=0"
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def run(self, program, *arguments):
        command = [*self.user, os.path.join(self.bin, program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def stop(self):
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "fast", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


def cpu(pids):
    """CPU seconds of processes, with those that they wait for."""
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def family(pid):
    """The process and its children."""
    children = [c for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
    return [pid, *map(int, children)]


def latency(connection, sql, prepare):
    times = []
    for _ in range(STATEMENTS):
        begun = time.perf_counter()
        connection.execute(sql, prepare=prepare).fetchone()
        times.append((time.perf_counter() - begun) * 1e3)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def rate(pids, read):
    """Rows per CPU-second of all the processes, and the CPU seconds of each for one result."""
    rates = []
    for _ in range(RUNS):
        before = [cpu([pid]) for pid in pids]
        for _ in range(READS):
            assert read() == ROWS
        spent = [(cpu([pid]) - was) / READS for pid, was in zip(pids, before)]
        rates.append((ROWS / max(sum(spent), 0.001), spent))
    return statistics.median_low(rates)


def binary(connection):
    def read():
        with connection.cursor(binary=True) as cursor:
            cursor.execute(ALL)
            return cursor.pgresult.ntuples
    return read


def fill(product):
    """Samples of ten checks, one a second, as anybody brings them in."""
    for check in range(CHECKS):
        each = range(check * ROWS // CHECKS, (check + 1) * ROWS // CHECKS)
        for first in each[::PIECE]:
            points = [{"time": BEGIN + (n - each[0]) * 1_000, "value": n * 7_919 % 100_003 * 0.5} for n in each[first - each[0]:][:PIECE]]
            product.ask("POST", "/api/v1/import", {
                "tenant": f"tenant{check}", "check_id": f"disk:/srv/{check}", "metric": "used", "unit": "By", "limit": None,
                "thresholds": {"warning": None, "critical": None, "falling": False}, "points": points,
            })


def copy(ours, theirs):
    """The same rows in a table of the same name, which is vacuumed, analysed and has the index that the small statement wants."""
    theirs.execute("create unlogged table samples (slot timestamptz, value float8, tenant text, check_id text)")
    with ours.cursor().copy(f"copy ({ALL}) to stdout") as rows, theirs.cursor().copy("copy samples from stdin") as table:
        for piece in rows:
            table.write(piece)
    theirs.execute("create index on samples (check_id, slot)")
    theirs.execute("vacuum analyze samples")


def quiet(pids):
    """Waits until nothing of the import is still under way."""
    def still():
        before = cpu(pids)
        time.sleep(1)
        return cpu(pids) - before < 0.05
    until(still, "the product does not come to rest")


def main():
    product, postgres = Product(CONFIG), Postgres()
    try:
        fill(product)
        ours = psycopg.connect(host=product.host, port=product.port, dbname="kizashi", user="admin", password=TOKEN, autocommit=True, sslmode="disable")
        theirs = psycopg.connect(host="127.0.0.1", port=postgres.port, dbname="postgres", user="bench", autocommit=True)
        count = lambda: ours.execute("select count(*) from samples").fetchone()[0]
        until(lambda: count() == ROWS, "the samples did not come", product)
        copy(ours, theirs)
        same = f"select count(*), min(slot), max(slot), sum(value), min(check_id), max(tenant) from samples"
        assert ours.execute(same).fetchone() == theirs.execute(same).fetchone()
        mine, backend = family(product.process.pid), [theirs.info.backend_pid]
        quiet(mine)
        # The door answers literals itself; what a LIMIT follows goes the way of every statement.
        for statement, sql in [("select1", "select 1"), ("planned", "select 1 limit 1"), ("small", SMALL)]:
            for prepare in [False, True]:
                for name, connection in [("kizashi", ours), ("postgres", theirs)] * 2:
                    half, most = latency(connection, sql, prepare)
                    how = "prepared" if prepare else "plain"
                    print(f"wire.{statement}.{how}.{name} p50 {half:.3f} ms, p99 {most:.3f} ms", flush=True)
        flight = flightsql.connect(product.flight, db_kwargs={DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"})

        def arrow():
            with flight.cursor() as cursor:
                cursor.execute(ALL)
                return cursor.fetch_arrow_table().num_rows

        figure = {
            "postgres": rate(backend, binary(theirs)),
            "kizashi": rate(mine, binary(ours)),
            "adbc": rate(mine, arrow),
        }
        for name, (of, spent) in figure.items():
            each = " + ".join(f"{seconds:.3f}" for seconds in spent)
            print(f"wire.rows.{name} {of:.0f} rows/CPU-s of the server ({each} s), {of / figure['postgres'][0]:.2f} of PostgreSQL's", flush=True)
        ours.close(), theirs.close(), flight.close()
    finally:
        product.stop()
        postgres.stop()


main()
