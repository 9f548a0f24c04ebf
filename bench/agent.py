#!/usr/bin/env python3
"""Measure a whole agent at work: processor time, memory and bytes, beside ffmpeg grabbing the same screen.

  agent.py [--seconds 120] [--idle-seconds 60] [--size 1920x1080] [--json FILE]

Two desktops, one idle and one with every kind of work in turn, each played three times from the same seed: unrecorded,
recorded by `playhead agent` into a `playhead up`, and recorded by
  ffmpeg -f x11grab -framerate 10 -c:v libx264rgb -preset ultrafast -qp 0
Processor time of the X server is told too: a recorder makes it work. PLAYHEAD names the program to measure,
target/release/playhead by default. Do not use the machine meanwhile.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLAYHEAD = Path(os.environ.get("PLAYHEAD") or HERE.parent / "target/release/playhead")
TICKS = os.sysconf("SC_CLK_TCK")
# Until the first windows stand.
WARM_UP = 10


@contextlib.contextmanager
def running(command, **options):
    """A program that is interrupted at the end, and killed if that does not end it."""
    process = subprocess.Popen(list(map(str, command)), **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def first_line(process, what):
    """The JSON object that a program prints when it is ready."""
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{what} ended before it was ready (exit code {process.wait()})")
    return json.loads(line)


def cpu(process_id):
    """Processor seconds of a process so far, user and system, all threads."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(process_id):
    """Most memory a process has had resident, in bytes."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def child_named(parent, name):
    """The child of a process whose program has this name."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, tail = stat.read_text().rsplit(")", 1)
            if head.split("(", 1)[1] == name and tail.split()[1] == str(parent):
                return int(stat.parent.name)
    raise RuntimeError(f"process {parent} has no child {name}")


class Console:
    """A signed-in administrator of a `playhead up`."""

    def __init__(self, ready):
        self.url = ready["url"].rstrip("/")
        self.open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open
        self.call("sign-in", {"user": ready["user"], "password": ready["password"]})

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data, {"content-type": "application/json"})
        with self.open(request, timeout=30) as answer:
            return json.load(answer)

    def bytes_recorded(self):
        return sum(recording["bytes"] for recording in self.call("recordings")["items"])


@contextlib.contextmanager
def nothing(_place, _folder):
    yield None, lambda: 0


@contextlib.contextmanager
def agent(place, folder):
    """Our agent, sending to a server on this machine."""
    environment = {**os.environ, "PLAYHEAD_LOG": "error"}
    command = [PLAYHEAD, "up", "--listen", "127.0.0.1:0", "--data", folder / "up", "--json"]
    with running(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        console = Console(first_line(server, "playhead up"))
        (folder / "token").write_text(console.call("join-tokens", {"kind": "agent"})["token"])
        settings = folder / "agent.toml"
        settings.write_text(
            f"data = {json.dumps(str(folder / 'agent'))}\n"
            f"[server]\njoin_file = {json.dumps(str(folder / 'token'))}\n"
            f"[[displays]]\ndisplay = {json.dumps(place['display'])}\n"
            f"xauthority = {json.dumps(place['xauthority'])}\n"
        )
        with running([PLAYHEAD, "agent", "--settings", settings], env=environment) as process:
            yield process, console.bytes_recorded


@contextlib.contextmanager
def grab(place, folder):
    """ffmpeg's screen grabber with a lossless encoder."""
    output = folder / "grabbed.mkv"
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", "-f", "x11grab", "-framerate", "10", "-i", place["display"]]
    command += ["-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0", output]
    environment = {**os.environ, "XAUTHORITY": place["xauthority"]}
    with running(command, env=environment) as process:
        yield process, lambda: output.stat().st_size


RECORDERS = {"none": nothing, "playhead agent": agent, "ffmpeg x11grab, libx264rgb": grab}
WORKLOADS = {"idle": ["--activity", "idle"], "everything in turn": []}


def measure_one(workload, recorder, seconds, size, seed):
    """One desktop with one recorder: {seconds, cpu, x_server_cpu, memory_bytes, bytes}; CPU per second."""
    with tempfile.TemporaryDirectory(prefix="playhead-bench.") as name:
        folder = Path(name)
        command = [PLAYHEAD, "bench", "desktop", "--work", folder / "w", "--size", size, "--seed", seed]
        with running(command + WORKLOADS[workload], stdout=subprocess.PIPE, text=True) as desktop:
            place = first_line(desktop, "playhead bench desktop")
            x_server = child_named(desktop.pid, "Xvfb")
            # An idle desktop is wanted idle; of the other one everything counts, the start of its programs too.
            time.sleep(WARM_UP + (20 if workload == "idle" else 0))
            with RECORDERS[recorder](place, folder) as (process, size_now):
                if process and workload == "idle":
                    # The first picture is told by the other workload.
                    time.sleep(10)
                began, x_before = time.monotonic(), cpu(x_server)
                before = cpu(process.pid) if process and workload == "idle" else 0.0
                bytes_before = size_now() if process and workload == "idle" else 0
                time.sleep(seconds)
                if process and process.poll() is not None:
                    raise RuntimeError(f"{recorder} ended while it was measured (exit code {process.returncode})")
                spent = time.monotonic() - began
                return {
                    "seconds": round(spent, 2),
                    "cpu": round((cpu(process.pid) - before) / spent, 5) if process else 0.0,
                    "x_server_cpu": round((cpu(x_server) - x_before) / spent, 5),
                    "memory_bytes": memory(process.pid) if process else 0,
                    "bytes": size_now() - bytes_before,
                }


def measure(seconds, idle_seconds, size, seed=1, tell=lambda line: None):
    """Every workload with every recorder, by their names."""
    result = {}
    for workload in WORKLOADS:
        result[workload] = {}
        for recorder in RECORDERS:
            time_for = idle_seconds if workload == "idle" else seconds
            figures = measure_one(workload, recorder, time_for, size, seed)
            result[workload][recorder] = figures
            tell(
                f"{workload:18} {recorder:26} {figures['cpu']:.4f} CPU, X server {figures['x_server_cpu']:.4f} CPU, "
                f"{figures['memory_bytes'] / 1e6:.0f} MB resident, {figures['bytes']} bytes"
            )
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="length of the run with work")
    parser.add_argument("--idle-seconds", type=float, default=60, help="length of the idle run")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    result = measure(
        arguments.seconds, arguments.idle_seconds, arguments.size, arguments.seed, lambda line: print(line, flush=True)
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"agent.py: {error}")
