#!/usr/bin/env python3
"""What a host full of idle sessions costs the agent: finding sessions and asking the policy about them.

    bench/sessions.py                              50 Xvnc sessions, a policy that records none of them, 60 seconds
    bench/sessions.py --sessions 20 --record       the same sessions recorded

Run as root. Tells also how soon after its X server's start each session was known, and recorded where it is. Prints one line of JSON.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(process_id):
    """Processor seconds used so far, by all threads."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(process_id):
    """Resident megabytes."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def xvnc(number, size, folder):
    """An idle Xvnc on the display with this number."""
    command = ["Xvnc", f":{number}", "-geometry", size, "-depth", "24", "-SecurityTypes", "None", "-nolisten", "tcp",
               "-rfbunixpath", os.path.join(folder, f"rfb{number}")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sessions(binary, data, numbers):
    """What the agent says of the sessions on these displays."""
    told = subprocess.run([binary, "agent", "status", "--data", data, "--json"], capture_output=True, text=True)
    if told.returncode != 0:
        return []
    displays = {f":{number}" for number in numbers}
    return [one for one in json.loads(told.stdout).get("sessions", []) if one["display"] in displays]


def started_server(args, folder):
    """A recording server that is ready."""
    command = [args.binary, "--log", "warn", "server", "--data", f"{folder}/server", "--listen-agents", "127.0.0.1:0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if not server.stdout.readline():
        sys.exit("the server did not start")
    return server


def measure(args, folder):
    # The policy is the active one before the server starts: whichever it tells the agent of, all sessions are decided by the same.
    first = started_server(args, folder)
    first.send_signal(signal.SIGTERM)
    first.wait(60)
    policy = "record" if args.record else "do-not-record"
    subprocess.run([args.binary, "--log", "warn", "policy", "activate", policy, "--data", f"{folder}/server", "--json"],
                   check=True, stdout=subprocess.DEVNULL)
    server = started_server(args, folder)
    displays, agent = [], None
    try:
        made = subprocess.run([args.binary, "token", "--kind", "agent", "--data", f"{folder}/server", "--json"],
                              check=True, capture_output=True, text=True)
        numbers = [700 + number for number in range(args.sessions)]
        displays = [xvnc(number, args.size, folder) for number in numbers]
        wait("all displays", 60, lambda: all(Path(f"/tmp/.X11-unix/X{number}").exists() for number in numbers))
        data = f"{folder}/agent"
        os.makedirs(data, mode=0o700)
        # As heard at an earlier start.
        Path(f"{data}/policy.json").write_text(json.dumps({"revision": 1, "id": policy}))
        command = [args.binary, "--log", "warn", "agent", "--sessions", "--data", data, "--join", json.loads(made.stdout)["token"]]
        agent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wanted = lambda one: not args.record or one["recording"]["recording"]
        wait("all sessions", 60, lambda: sum(1 for one in sessions(args.binary, data, numbers) if wanted(one)) == args.sessions)
        time.sleep(args.settle)
        before, began = cpu(agent.pid), time.monotonic()
        time.sleep(args.seconds)
        spent, took = cpu(agent.pid) - before, time.monotonic() - began
        return {"sessions": args.sessions, "recorded": args.record, "seconds": round(took, 1),
                "core_percent": round(100 * spent / took, 3),
                "load": round(os.getloadavg()[0], 1), "memory_mb": round(memory(agent.pid), 1)}
    finally:
        for process in [agent, server, *displays]:
            if process:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def wait(what, seconds, ready):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            sys.exit(f"waited {seconds} s in vain for {what}")
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/playhead"))
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--size", default="1280x800", help="of each session's screen")
    parser.add_argument("--settle", type=int, default=15, help="seconds before the measurement begins")
    parser.add_argument("--record", action="store_true", help="record the sessions")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="playhead-sessions-", ignore_cleanup_errors=True) as folder:
        print(json.dumps(measure(args, folder)))


if __name__ == "__main__":
    main()
