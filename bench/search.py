#!/usr/bin/env python3
"""How long lists and searches take at a site with many sessions and recordings.

    bench/search.py                                    5,000 running sessions, 100,000 recordings, 200 calls of each kind
    bench/search.py --sessions 1000 --recordings 10000 --calls 50

A console and a recording server in one process (`playhead up`, SQLite) are filled while they are stopped, and then asked over HTTP, one
call at a time: the console's own API, and the calls that are compatible with Citrix DaaS. Prints one line of JSON: for each kind of call
the median and the 99th percentile in milliseconds, and how long it took to go through all pages.
"""

import argparse
import http.client
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse
import uuid
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DAY = 86_400_000_000


def iso(micros):
    return datetime.fromtimestamp(micros / 1e6, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Server:
    """A console and a recording server in one process."""

    def __init__(self, args, data):
        self.process = subprocess.Popen([args.binary, "--log", "warn", "up", "--data", data, "--listen", "127.0.0.1:0", "--json"],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the server did not start")
        self.ready = json.loads(line)
        address = urllib.parse.urlsplit(self.ready["url"])
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)

    def call(self, method, path, headers, body=None):
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        self.connection.request(method, path, text, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text[:400]}")
        return answer, json.loads(text) if text else None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def fill(path, sessions, recordings, seed):
    """Writes agents, sessions and recordings as a server would have."""
    chance = random.Random(seed)
    now = int(time.time() * 1e6)
    database = sqlite3.connect(path)
    server = database.execute("SELECT id FROM servers").fetchone()[0]
    hosts = [f"ws-{number:04}.corp.example" for number in range(max(1, sessions // 10))]
    agents = []
    for number, host in enumerate(hosts):
        agent = str(uuid.UUID(int=(1 << 120) + number))
        agents.append((agent, host))
        database.execute("INSERT INTO agents (id, host, public_key, version, system, enrolled_at, last_seen, server) VALUES (?, ?, ?, '1', '', ?, ?, ?)",
                         (agent, host, f"key {number}", now, now, server))
    people = [f"user{number:05}" for number in range(20_000)]
    for number in range(sessions):
        agent, host = agents[number % len(agents)]
        user, began = chance.choice(people), now - chance.randrange(DAY)
        session, recorded = str(uuid.UUID(int=(2 << 120) + chance.getrandbits(100))), number % 2
        info = {
            "id": session, "user": user,
            "facts": {"users": [user, f"CORP\\{user}", f"{user}@corp.example"], "groups": [f"group {number % 40}", "Staff"],
                      "application": "desktop", "delivery_groups": [f"Delivery {number % 12}"], "host": host,
                      "address": f"10.{number % 250}.{number // 250 % 250}.7", "tags": ["inside"]},
            "display": f":{number % 10}", "protocol": "rdp", "state": "connected", "client": f"pc-{number}", "client-version": None,
            "started-at": iso(began), "changed-at": iso(began),
            "recording": {"action": "record", "recording": str(uuid.UUID(int=(3 << 120) + number)) if recorded else None,
                          "decided": {"by": "policy", "revision": 1, "policy": "Ours", "rule": "Everyone"}, "trouble": None},
        }
        database.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, 'connected', ?, ?, NULL, ?, ?)",
                         (session, agent, user, host, recorded, began, now, json.dumps(info, separators=(",", ":"))))
    rows = []
    for number in range(recordings):
        agent, host = chance.choice(agents)
        user, began, length = chance.choice(people), now - chance.randrange(90 * DAY), chance.randrange(8 * 3_600_000_000)
        recording = str(uuid.UUID(int=(4 << 120) + chance.getrandbits(100)))
        info = {"id": recording, "host": host, "user": user, "display": ":10", "client": "pc", "client_address": "10.1.2.3",
                "application": "desktop", "started_at": iso(began), "agent_version": "1",
                "monitors": [{"name": "screen", "x": 0, "y": 0, "width": 1920, "height": 1080}]}
        rows.append((recording, agent, server, json.dumps(info, separators=(",", ":")), host, user, "finished", began, began + length, began + length,
                     length, chance.randrange(1 << 30), 100, 1, 1920, 1080, 0, 0, "stopped", began + length))
    database.executemany("INSERT INTO recordings (id, agent, server, info, host_key, user_key, state, started_at, until_at, ended_at, duration_us, "
                         "bytes, fragments, segments, width, height, gaps, events, end_reason, heard_at) VALUES (" + ", ".join("?" * 20) + ")", rows)
    database.commit()
    database.close()


def timed(calls, act):
    """Median and 99th percentile of the milliseconds that it takes."""
    took = []
    for number in range(calls):
        began = time.perf_counter()
        act(number)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return {"p50_ms": round(took[len(took) // 2], 1), "p99_ms": round(took[min(len(took) - 1, int(len(took) * 0.99))], 1)}


def measure(args, folder):
    data = f"{folder}/data"
    server = Server(args, data)
    password = server.ready["password"]
    signed_in = server.call("POST", "/api/v1/sign-in", {"Content-Type": "application/json"}, {"user": server.ready["user"], "password": password})[0]
    cookie = signed_in.getheader("set-cookie").split(";")[0]
    server.call("POST", "/api/v1/me/password", {"Cookie": cookie, "Content-Type": "application/json"}, {"current": password, "new": "a password for measuring"})
    server.stop()
    fill(f"{data}/site.db", args.sessions, args.recordings, args.seed)
    client = json.loads(subprocess.run([args.binary, "api-client", "create", "--data", data, "--name", "bench", "--permission", "view-sessions", "--json"],
                                       check=True, capture_output=True, text=True).stdout)
    server = Server(args, data)
    try:
        signed_in = server.call("POST", "/api/v1/sign-in", {"Content-Type": "application/json"}, {"user": "admin", "password": "a password for measuring"})[0]
        own = {"Cookie": signed_in.getheader("set-cookie").split(";")[0]}
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client["id"], "client_secret": client["secret"]})
        token = server.call("POST", "/cctrustoauth2/root/tokens/clients", {"Content-Type": "application/x-www-form-urlencoded"}, form)[1]["access_token"]
        theirs = {"Authorization": f"CWSAuth bearer={token}", "Citrix-CustomerId": client["customer_id"], "Citrix-InstanceId": client["site_id"],
                  "Content-Type": "application/json"}
        get = lambda path: server.call("GET", path, own)[1]
        search = lambda body, query="": server.call("POST", f"/cvad/manage/Sessions/$search{query}", theirs, body)[1]
        filters = lambda prop, operator, value: {"SearchFilters": [{"Property": prop, "Operator": operator, "Value": value}]}
        host = lambda number: f"ws-{number % max(1, args.sessions // 10):04}"
        month = urllib.parse.quote(iso(int(time.time() * 1e6) - 30 * DAY))
        kinds = {
            "sessions, first page": lambda n: get("/api/v1/sessions?state=running&limit=100"),
            "sessions of a user": lambda n: get(f"/api/v1/sessions?state=running&user=user{n:05}"),
            "sessions of a host": lambda n: get(f"/api/v1/sessions?state=running&host={host(n)}"),
            "recordings, first page": lambda n: get("/api/v1/recordings?limit=100"),
            "recordings of a user": lambda n: get(f"/api/v1/recordings?user=user{n:05}"),
            "recordings of a host in 30 days": lambda n: get(f"/api/v1/recordings?host={host(n)}&from={month}"),
            "recordings, the longest": lambda n: get("/api/v1/recordings?sort=-duration&limit=100"),
            "compatible: sessions of a machine": lambda n: search(filters("MachineName", "Equals", f"{host(n)}.corp.example")),
            "compatible: sessions of a user": lambda n: search(filters("UserName", "Equals", f"CORP\\user{n:05}")),
            "compatible: a text anywhere": lambda n: search({"BasicSearchString": f"user{n:05}"}),
            "compatible: first page of all": lambda n: search({}, "?limit=250"),
        }
        result = {"sessions": args.sessions, "recordings": args.recordings, "calls": args.calls}
        for name, act in kinds.items():
            act(0)
            result[name] = timed(args.calls, act)
        for name, path in [("all sessions", "/api/v1/sessions?state=running&limit=200"), ("all recordings", "/api/v1/recordings?limit=200")]:
            began, cursor, seen, slowest = time.perf_counter(), "", 0, 0
            while cursor is not None:
                page_began = time.perf_counter()
                page = get(path + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""))
                slowest = max(slowest, time.perf_counter() - page_began)
                seen, cursor = seen + len(page["items"]), page["next"]
            result[name] = {"seen": seen, "seconds": round(time.perf_counter() - began, 1), "slowest_page_ms": round(slowest * 1000, 1)}
        return result
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/playhead"))
    parser.add_argument("--sessions", type=int, default=5_000)
    parser.add_argument("--recordings", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="playhead-search-", ignore_cleanup_errors=True) as folder:
        print(json.dumps(measure(args, folder)))


if __name__ == "__main__":
    main()
