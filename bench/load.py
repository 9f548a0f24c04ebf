#!/usr/bin/env python3
"""A recording server under thousands of sessions: how fast it acknowledges, what it uses, and that it loses nothing.

    bench/load.py                                  500, 2000 and 5000 office sessions, then as much as it takes
    bench/load.py --sessions 5000 --seconds 600    one run
    bench/load.py --kill                           the server is killed and started again in the middle of each run
    scripts/with-postgres scripts/with-s3 bench/load.py --durable s3 --sessions 100
                                                   on PostgreSQL, and what is acknowledged lies on S3 (or in a folder, or on the disk alone)

Each run has a server of its own with an empty folder on the disk of --work. Sessions and server share the machine: use one that does nothing
else, and see the load average beside the figures. 5000 sessions of ten minutes need some 40 GB of disk. Prints a table in Markdown.
"""

import argparse
import json
import os
import signal
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Server:
    """A recording server."""

    def __init__(self, binary, data, port=0):
        command = [binary, "--log", "warn", "server", "--data", data, "--listen-agents", f"127.0.0.1:{port}", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the server did not start")
        self.port = int(json.loads(line)["agents"].rsplit(":", 1)[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)


def token(binary, data, uses):
    database = os.environ.get("PLAYHEAD_DATABASE")
    made = subprocess.run(
        [binary, "token", "--kind", "agent", "--data", data, "--uses", str(uses), "--valid-minutes", "600", "--json",
         *(["--database", database] if database else [])],
        check=True, capture_output=True, text=True)
    return json.loads(made.stdout)["token"]


def place(args, data):
    """An empty database and storage for the programs that are started next; does nothing when SQLite and a folder will do."""
    if not args.durable:
        return
    database, bucket = os.environ.get("PLAYHEAD_TEST_POSTGRES"), os.environ.get("PLAYHEAD_TEST_S3")
    if not database or not bucket:
        sys.exit("--durable needs a database and a bucket: scripts/with-postgres scripts/with-s3 bench/load.py ...")
    name = f"load_{uuid.uuid4().hex[:12]}"
    subprocess.run(["psql", "-q", database, "-c", f"CREATE SCHEMA {name}"], check=True)
    os.environ["PLAYHEAD_DATABASE"] = f"{database}{'&' if '?' in database else '?'}options[search_path]={name}"
    os.environ["PLAYHEAD_STORAGE"] = f"{bucket}/{name}" if args.durable == "s3" else os.path.join(data, "shared")
    os.environ["PLAYHEAD_DURABLE"] = "disk" if args.durable == "disk" else "shared"


def run(args, sessions, profile):
    """One run; gives the generator's report."""
    data = tempfile.mkdtemp(prefix="playhead-load-", dir=args.work)
    place(args, data)
    server = Server(args.binary, data)
    try:
        join = token(args.binary, data, sessions)
        command = [args.binary, "bench", "load", "--sessions", str(sessions), "--profile", profile, "--seconds",
                   str(min(args.seconds, 30) if profile == "bulk" else args.seconds), "--join", join, "--json"]
        if profile == "bulk":
            command += ["--disk", args.work]
        if not args.kill:
            command += ["--server-pid", str(server.process.pid)]
        generator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if args.kill:
            killed = threading.Event()

            def kill():
                nonlocal server
                ramp = sessions / 50
                if killed.wait(ramp + args.seconds / 2):
                    return
                server.process.kill()
                server.process.wait()
                server = Server(args.binary, data, server.port)

            thread = threading.Thread(target=kill)
            thread.start()
        out, _ = generator.communicate()
        if args.kill:
            killed.set()
            thread.join()
        if not out:
            sys.exit(f"the run with {sessions} sessions failed")
        return json.loads(out)
    finally:
        server.stop()
        shutil.rmtree(data, ignore_errors=True)


def row(report):
    acknowledged, server = report["acknowledged_ms"], report["server"] or {}
    cells = [
        f"{report['sessions']:,} {report['profile']}",
        f"{report['seconds']:.0f}",
        f"{report['fragments_per_second']:,.0f}",
        f"{report['mb_per_second']:.1f}",
        *(f"{acknowledged[part]:.0f}" for part in ("p50", "p95", "p99", "max")),
        f"{server['cores']:.2f}" if server else "",
        f"{server['cpu_us_per_session_second']:.0f}" if server else "",
        f"{server['rss_bytes'] / 2**20:.0f}" if server else "",
        f"{report['lost']} of {report['fragments_acknowledged']:,}",
        f"{report['checked']:,}",
        " / ".join(f"{load:.1f}" for load in report["load_average"]),
    ]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/playhead"))
    parser.add_argument("--work", default=tempfile.gettempdir(), help="folder on the disk that is to be measured")
    parser.add_argument("--sessions", type=int, action="append")
    parser.add_argument("--profile", default="office")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--durable", choices=("disk", "folder", "s3"), help="on PostgreSQL; where what is acknowledged lies")
    args = parser.parse_args()
    if not os.access(args.binary, os.X_OK):
        sys.exit(f"no program at {args.binary}: make build")
    runs = [(sessions, args.profile) for sessions in args.sessions or [500, 2000, 5000]]
    if not args.sessions:
        runs.append((8, "bulk"))
    print("| sessions | s | fragments/s | MB/s | acknowledged p50 ms | p95 | p99 | max | server cores "
          "| us a session and second | MiB | lost | compared | load |")
    print("| --- |" + " ---: |" * 13)
    for sessions, profile in runs:
        report = run(args, sessions, profile)
        print(row(report), flush=True)
        if profile == "bulk" and report["server_mb_per_cpu_second"]:
            before, after = report["disk_mb_per_second"]
            print(f"\n{report['server_mb_per_cpu_second']:.0f} MB for each second of the server's processor time; the disk alone writes "
                  f"{before:.0f} MB/s before and {after:.0f} MB/s after with the journal's syncs.", flush=True)
        time.sleep(5)


if __name__ == "__main__":
    main()
