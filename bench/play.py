#!/usr/bin/env python3
"""How much memory the player's tab takes while a recording plays from its start to its end, in a real browser.

  play.py URL USER PASSWORD RECORDING [--rate 16] [--json OUT]

Needs chromium and chromium-driver. Memory is the proportional share (PSS) of the browser's largest renderer process, which is the
player's tab, looked at every second.
"""
import argparse, json, pathlib, sys, time
from browser import player


def renderers(profile):
    """Proportional memory of this browser's renderer processes, bytes by process."""
    sizes = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if b"--type=renderer" not in command or profile.encode() not in command + parent(folder):
                continue
            lines = (folder / "smaps_rollup").read_text().splitlines()
            sizes[folder.name] = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return sizes


def parent(folder):
    """The command of the process that started this one; the renderer's own does not name the profile."""
    status = (folder / "status").read_text()
    number = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
    command = pathlib.Path("/proc", number, "cmdline").read_bytes()
    return command if b"--type=" not in command else command + parent(pathlib.Path("/proc", number))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["url", "user", "password", "recording"]:
        parser.add_argument(name)
    parser.add_argument("--rate", type=float, default=16)
    parser.add_argument("--json")
    a = parser.parse_args()
    samples = []
    with player(a.url, a.user, a.password, a.recording) as (browser, profile):
        # Every second counts: nothing is skipped.
        if browser.run("return window.playhead.skip_idle"):
            browser.press("x")
        for _ in range(20):
            if browser.run("return window.playhead.rate") >= a.rate:
                break
            browser.press(">")
        else:
            sys.exit(f"the player does not go as fast as {a.rate}")
        browser.press(" ")
        browser.until("play", "return window.playhead.playing")
        began = time.monotonic()
        state = None
        while state is None or state["status"] not in ("ended", "failed"):
            time.sleep(1)
            fields = ["status", "position_us", "memory_bytes", "pictures", "troubles", "chain_ok"]
            state = browser.run(f"const p = window.playhead; return Object.fromEntries({json.dumps(fields)}.map(f => [f, p[f]]))")
            samples.append([round(time.monotonic() - began, 1), state["position_us"], max(renderers(profile).values())])
    sizes = [size for _, _, size in samples]
    half = len(sizes) // 2
    report = {"status": state["status"], "chain_ok": state["chain_ok"], "troubles": state["troubles"], "played_us": state["position_us"],
              "seconds": samples[-1][0], "pictures": state["pictures"], "core_bytes": state["memory_bytes"],
              "tab_bytes": {"most": max(sizes), "most_in_first_half": max(sizes[:half]), "at_end": sizes[-1]}}
    print(json.dumps(report, indent=1))
    if a.json:
        with open(a.json, "w") as out:
            json.dump(report | {"each": samples}, out)


if __name__ == "__main__":
    main()
