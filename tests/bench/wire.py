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
from product import TOKEN, Product

ROWS = int(sys.argv[1])
RUNS = 3
STATEMENTS = 2_000
# The same values on both sides: a time, a number, two texts.
OURS = f"""select timestamp '2026-01-01' + arrow_cast(arrow_cast(value * 1000, 'Int64'), 'Duration(Millisecond)') as slot,
    value * 0.5 as value, 'tenant' || cast(value % 10 as text) as tenant, 'disk:/srv/' || cast(value % 1000 as text) as check_id
    from generate_series(1, {ROWS})"""
THEIRS = f"""create unlogged table result as select timestamp '2026-01-01' + n * interval '1 second' as slot, n * 0.5::float8 as value,
    'tenant' || (n % 10)::text as tenant, 'disk:/srv/' || (n % 1000)::text as check_id from generate_series(1, {ROWS}) n"""


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


def latency(connection):
    times = []
    for _ in range(STATEMENTS):
        begun = time.perf_counter()
        connection.execute("select 1").fetchone()
        times.append((time.perf_counter() - begun) * 1e3)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def rate(pids, read):
    rates = []
    for _ in range(RUNS):
        before = cpu(pids)
        assert read() == ROWS
        rates.append(ROWS / max(cpu(pids) - before, 0.01))
    return statistics.median(rates)


def binary(connection, sql):
    def read():
        with connection.cursor(binary=True) as cursor:
            cursor.execute(sql)
            return cursor.pgresult.ntuples
    return read


def main():
    product, postgres = Product(), Postgres()
    try:
        ours = psycopg.connect(host=product.host, port=product.port, dbname="kizashi", user="admin", password=TOKEN, autocommit=True, sslmode="disable")
        theirs = psycopg.connect(host="127.0.0.1", port=postgres.port, dbname="postgres", user="bench", autocommit=True)
        theirs.execute(THEIRS)
        mine = family(product.process.pid)
        backend = [theirs.info.backend_pid]
        for name, connection in [("kizashi", ours), ("postgres", theirs), ("kizashi", ours), ("postgres", theirs)]:
            half, most = latency(connection)
            print(f"wire.select1.{name} p50 {half:.3f} ms, p99 {most:.3f} ms")
        figure = {
            "kizashi": rate(mine, binary(ours, OURS)),
            "postgres": rate(backend, binary(theirs, "select * from result")),
        }
        flight = flightsql.connect(product.flight, db_kwargs={DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"})

        def arrow():
            with flight.cursor() as cursor:
                cursor.execute(OURS)
                return cursor.fetch_arrow_table().num_rows

        figure["adbc"] = rate(mine, arrow)
        for name, of in figure.items():
            print(f"wire.rows.{name} {of:.0f} rows/CPU-s of the server, {of / figure['postgres']:.2f} of PostgreSQL's")
        ours.close(), theirs.close(), flight.close()
    finally:
        product.stop()
        postgres.stop()


main()
