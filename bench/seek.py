#!/usr/bin/env python3
"""How long and how many bytes a seek to a random moment takes, in a real browser.

  seek.py URL USER PASSWORD RECORDING [--seeks 60] [--seed 1] [--json OUT]

Needs chromium and chromium-driver. Clicks on the player's seek bar, waits until the player says that the canvas shows the moment, and
reports what the player measured: milliseconds from the click to the painted picture, how many of them went into decoding and painting,
and bytes that came for it.
"""
import argparse, json, random
from browser import player


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["url", "user", "password", "recording"]:
        parser.add_argument(name)
    parser.add_argument("--seeks", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json")
    a = parser.parse_args()
    chance = random.Random(a.seed)
    with player(a.url, a.user, a.password, a.recording) as (browser, _):
        seeks = []
        for number in range(a.seeks):
            bar = browser.run("const r = document.querySelector('[data-testid=seek-bar]').getBoundingClientRect(); return [r.x, r.y, r.width, r.height]")
            before = browser.run("return window.playhead.seeks.length ? window.playhead.seeks.at(-1).at_us : -1")
            browser.click(bar[0] + chance.uniform(0.01, 0.99) * bar[2], bar[1] + bar[3] / 2)
            done = f"const s = window.playhead.seeks.at(-1); return s && s.at_us !== {before} && s.ms !== null && window.playhead.status === 'paused' ? s : null"
            seeks.append(browser.until(f"seek {number}", done))
    ms, sizes = [seek["ms"] for seek in seeks], [seek["bytes"] for seek in seeks]
    figures = lambda values: {"median": share(values, .5), "p95": share(values, .95), "most": max(values)}
    report = {"seeks": len(seeks), "ms": figures(ms), "decode_ms": figures([seek["decode_ms"] for seek in seeks]),
              "paint_ms": figures([seek["paint_ms"] for seek in seeks]), "bytes": figures(sizes)}
    print(json.dumps(report, indent=1))
    if a.json:
        with open(a.json, "w") as out:
            json.dump(report | {"each": seeks}, out)


if __name__ == "__main__":
    main()
