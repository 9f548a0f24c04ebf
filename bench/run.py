#!/usr/bin/env python3
"""Measure everything and write docs/benchmarks.md: `make bench`.

  run.py [--seconds 30] [--peers a,b] [--no-agent] [--render]

CORPUS=DIR,DIR2 measures corpora that are there already; otherwise one is made in corpus/ (and used again the next
time). PLAYHEAD names the program to measure, target/release/playhead by default. The figures are kept in
target/bench/results.json; --render writes the document from them again without measuring.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import agent
import peers

ROOT = Path(__file__).resolve().parent.parent
PLAYHEAD = Path(os.environ.get("PLAYHEAD") or ROOT / "target/release/playhead")
RESULTS = ROOT / "target/bench/results.json"
DOCUMENT = ROOT / "docs/benchmarks.md"
# What other programs of this folder measure is written by hand, from here on.
APART = "## Measured apart\n"
US = "Playhead"
REFERENCE = "x264rgb-ultrafast"
LABELS = {
    "x264rgb-ultrafast": "libx264rgb ultrafast qp 0",
    "x264rgb-veryfast": "libx264rgb veryfast qp 0",
    "vp9-lossless": "VP9 lossless, realtime 8, screen",
    "ffv1": "FFV1",
    "zmbv": "ZMBV",
    "qtrle": "QuickTime animation",
    "png": "PNG per picture",
    "flashsv2": "Flash Screen Video 2",
    "x264-crf23": "x264 veryfast crf 23, zerolatency",
    "x264-crf28": "x264 ultrafast crf 28",
    "vp9-crf32": "VP9 realtime 8 crf 32, screen",
    "svtav1-crf35": "SVT-AV1 preset 10 crf 35, screen",
}


def corpora(seconds):
    """The folders to measure; makes one when none is named."""
    named = [Path(name) for name in os.environ.get("CORPUS", "").split(",") if name]
    if named:
        return named
    own = ROOT / "corpus"
    if not list(own.glob("*.json")):
        say(f"making a corpus in {own.name}/: six activities of {seconds:g} s")
        subprocess.run([ROOT / "bench/corpus.sh", own, "--seconds", str(seconds)], check=True)
    return [own]


def measure(arguments):
    """All figures, as results.json holds them."""
    result = {"machine": machine(), "corpora": [], "agent": None}
    for corpus in corpora(arguments.seconds):
        say(f"measuring {corpus.name} with Playhead's codec")
        command = [PLAYHEAD, "bench", "codec", corpus, "--json"]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        ours = {segment["segment"]: segment for segment in json.loads(output)["segments"]}
        say(f"measuring {corpus.name} with ffmpeg's encoders")
        names = arguments.peers.split(",") if arguments.peers else None
        with tempfile.TemporaryDirectory(prefix="playhead-bench-") as kept:
            theirs = peers.measure(corpus, names, say, kept)
            lossy = None
            if peers.LOSSY in next(iter(theirs.values())):
                say(f"measuring {corpus.name} with Playhead's codec, lossy")
                command = [PLAYHEAD, "bench", "codec", corpus, "--lossy", "--other", kept, "--json"]
                output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                lossy = {segment["segment"]: segment for segment in json.loads(output)["segments"]}
        facts = peers.segments(corpus)
        say(f"packing {corpus.name} denser")
        again = repacked(corpus)
        result["corpora"].append(
            {"name": corpus.name, "facts": facts, "ours": ours, "lossy": lossy, "peers": theirs, "repacked": again}
        )
    if arguments.agent:
        say("measuring the agent")
        result["agent"] = agent.measure(30, 60, "1920x1080", tell=say)
    return result


def repacked(corpus):
    """What a server's re-packing makes of the corpus, recorded."""
    with tempfile.TemporaryDirectory(prefix="playhead-bench-") as folder:
        subprocess.run([PLAYHEAD, "bench", "codec", corpus, "--store", folder], check=True, stdout=subprocess.DEVNULL)
        command = [PLAYHEAD, "bench", "repack", folder, "--json"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def machine():
    """What the figures were measured on."""
    def first(path, start):
        lines = Path(path).read_text().splitlines()
        return next((line.split(start, 1)[1].strip(" :=\t\"") for line in lines if line.startswith(start)), "unknown")

    def version(*command):
        words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]
        return words.split(" Copyright")[0].strip()

    memory = int(first("/proc/meminfo", "MemTotal").split()[0]) / 1024 / 1024
    return {
        "date": datetime.date.today().isoformat(),
        "processor": first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "system": first("/etc/os-release", "PRETTY_NAME"),
        "kernel": platform.release().split("-")[0],
        "playhead": version(PLAYHEAD, "--version"),
        "ffmpeg": version("ffmpeg", "-version"),
    }


def table(head, rows):
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def number(value):
    """A figure with two or three significant digits."""
    if value is None:
        return "-"
    for limit, digits in ((0.1, 4), (1, 3), (10, 2), (100, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def ratio(ours, theirs):
    return number(ours / theirs) if theirs else "-"


def figures(corpus, name):
    """An encoder's figures by segment, those of the codec in the same form."""
    if name == US:
        return {segment: {"lossless": row["exact"], **row} for segment, row in corpus["ours"].items()}
    return {segment: rows[name] for segment, rows in corpus["peers"].items() if name in rows}


def by_segment(corpus, names, value):
    """Rows of `value(figures)` per second of session, for each segment and for all of them."""
    facts = corpus["facts"]
    rows = []
    for name in names:
        of = figures(corpus, name)
        cells = [number(value(of[segment]) / facts[segment]["seconds"]) for segment in facts]
        whole = sum(value(of[segment]) for segment in facts) / sum(fact["seconds"] for fact in facts.values())
        label = f"**{US}**" if name == US else LABELS[name]
        rows.append([label, *cells, number(whole)])
    return table(["", *facts, "all"], rows)


def total(row):
    return row["first_bytes"] + row["rest_bytes"]


PER_HOUR = 3600 / 1e6


def corpus_section(corpus):
    """What one corpus tells."""
    facts = corpus["facts"]
    names = list(next(iter(corpus["peers"].values())))
    lossless = [name for name in names if peers.ENCODERS[name][0]]
    lossy = [name for name in names if not peers.ENCODERS[name][0]]
    sizes = sorted({f"{fact['width']}x{fact['height']}" for fact in facts.values()})
    seconds = sum(fact["seconds"] for fact in facts.values()) / len(facts)
    text = [f"## Corpus `{corpus['name']}`\n"]
    text.append(f"{len(facts)} segments of about {seconds:.0f} s, {', '.join(sizes)}, pictures that differ only.\n")

    if REFERENCE in names:
        rows, ours, theirs = [], figures(corpus, US), figures(corpus, REFERENCE)
        for segment, fact in facts.items():
            a, b = ours[segment], theirs[segment]
            rows.append(compared(segment, str(fact["frames"]), a, b))
        everything = [add(of[segment] for segment in facts) for of in (ours, theirs)]
        rows.append(compared("all", str(sum(fact["frames"] for fact in facts.values())), *everything))
        text.append(f"### Against {LABELS[REFERENCE]}\n")
        text.append("Bytes in MB; CPU in seconds for the whole segment; ratios are ours by theirs.\n")
        head = ["segment", "pictures", "first", "after it", "CPU", "x264 first", "x264 after it", "x264 CPU"]
        text.append(table([*head, "bytes ratio", "ratio after first", "CPU ratio", "exact"], rows))

    text.append("### Lossless: MB per hour of session\n")
    text.append(by_segment(corpus, [US, *lossless], lambda row: total(row) * PER_HOUR))
    text.append("### Lossless: MB per hour of session after the first picture\n")
    text.append(by_segment(corpus, [US, *lossless], lambda row: row["rest_bytes"] * PER_HOUR))
    text.append(best_peer(corpus, lossless))
    text.append("### CPU seconds per second of session\n")
    text.append(by_segment(corpus, [US, *names], lambda row: row["cpu_seconds"]))
    text.append("### Bytes of the first picture alone (MB)\n")
    rows = []
    for name in [US, *lossless]:
        of = figures(corpus, name)
        label = f"**{US}**" if name == US else LABELS[name]
        rows.append([label, *(number(of[segment]["first_bytes"] / 1e6) for segment in facts)])
    text.append(table(["", *facts], rows))
    if corpus.get("repacked"):
        text.append(repack_section(corpus["repacked"]))
    if corpus.get("lossy"):
        text.append(lossy_section(corpus))
    if lossy:
        text.append("### Lossy encoders, for comparison: MB per hour of session\n")
        text.append(by_segment(corpus, lossy, lambda row: total(row) * PER_HOUR))
    return "\n".join(text)


def repack_section(rows):
    """Stored segments packed denser."""
    keys = ("bytes", "zstd_bytes", "dense_bytes", "fragments", "dense_fragments", "pack_seconds", "open_seconds")
    whole = {"segment": "all", **{key: sum(row[key] for row in rows) for key in keys}}
    whole["longest_seconds"] = max(row["longest_seconds"] for row in rows)
    lines = [
        [
            row["segment"],
            number(row["bytes"] / 1e6),
            f"{100 - 100 * row['zstd_bytes'] / row['bytes']:.1f} %",
            f"{100 - 100 * row['dense_bytes'] / row['bytes']:.1f} %",
            f"{row['dense_fragments']} of {row['fragments']}",
            number(row["bytes"] / 1e6 / row["pack_seconds"]),
            number(row["bytes"] / 1e6 / row["open_seconds"]),
            number(row["longest_seconds"]),
        ]
        for row in [*rows, whole]
    ]
    head = ["segment", "MB", "less, zstd 19", "less, dense", "dense fragments", "packing MB/s", "opening MB/s", "slowest s"]
    return (
        "### Sealed segments packed denser\n\nBytes that a server's re-packing saves, with zstd alone and as it is done; "
        "processor speed of packing (with all comparisons) and of opening a fragment for a player again, by one core; and the fragment that "
        "takes longest to open.\n\n" + table(head, lines)
    )


def lossy_section(corpus):
    """Lossy recording next to what it is held against."""
    rows = []
    for segment, fact in corpus["facts"].items():
        ours, theirs = corpus["lossy"][segment], corpus["peers"][segment][peers.LOSSY]
        other = ours["other"]
        cells = [f"{100 * ours['video_share']:.0f} %"]
        for a, b in ((total(ours) * PER_HOUR, total(theirs) * PER_HOUR), (ours["cpu_seconds"], theirs["cpu_seconds"])):
            cells += [number(a / fact["seconds"]), number(b / fact["seconds"]), ratio(a, b)]
        cells += [similarity(ours["text_ssim"]), similarity(other["text_ssim"])]
        cells += [number(ours["video_psnr"]), number(other["video_psnr"]), "yes" if ours["exact"] else "**no**"]
        rows.append([segment, *cells])
    head = ["segment", "shown from video", "MB/h", "x264 MB/h", "ratio", "CPU", "x264 CPU", "ratio"]
    head += ["text SSIM", "x264 text SSIM", "video dB", "x264 there dB", "the rest exact"]
    return (
        f"### Lossy recording against {LABELS[peers.LOSSY]}\n\n"
        "Films and photos as video of medium quality, the rest exactly. CPU is seconds per second of session. Text is told by the original "
        "alone (squares with an even ground and strokes on it); dB are those of the pixels that ours shows from the video, for both.\n\n"
        + table(head, rows)
    )


def similarity(value):
    return "-" if value is None else f"{value:.4f}"


def add(rows):
    rows = list(rows)
    keys = ("first_bytes", "rest_bytes", "cpu_seconds")
    return {"lossless": all(row["lossless"] for row in rows), **{key: sum(row[key] for row in rows) for key in keys}}


def compared(name, pictures, ours, theirs):
    sizes = [number(row[key] / 1e6) for row in (ours, theirs) for key in ("first_bytes", "rest_bytes")]
    return [
        name,
        pictures,
        *sizes[:2],
        number(ours["cpu_seconds"]),
        *sizes[2:],
        number(theirs["cpu_seconds"]),
        ratio(total(ours), total(theirs)),
        ratio(ours["rest_bytes"], theirs["rest_bytes"]),
        ratio(ours["cpu_seconds"], theirs["cpu_seconds"]),
        "yes" if ours["lossless"] else "**no**",
    ]


def best_peer(corpus, lossless):
    """After the first picture, next to the best of the others on each segment."""
    cells = []
    for segment in corpus["facts"]:
        best = min(lossless, key=lambda name: corpus["peers"][segment][name]["rest_bytes"])
        ours = corpus["ours"][segment]["rest_bytes"]
        cells.append(f"{segment} {ratio(ours, corpus['peers'][segment][best]['rest_bytes'])} ({LABELS[best]})")
    return "Ours by the best of the others: " + ", ".join(cells) + ".\n"


def render(result):
    """The document."""
    on = result["machine"]
    parts = [
        "# Benchmarks\n\n"
        "Written by `make bench`, which anybody can run; do not edit. Figures compare within one table: what is on the "
        "screen depends on the machine, and processor time is good to about ten percent.\n\n"
        f"Measured {on['date']} on {on['processor']}, {on['cores']} cores, {on['memory_gib']} GiB, {on['system']}, "
        f"Linux {on['kernel']}; {on['playhead']}, {on['ffmpeg']}.\n",
        "## What is measured\n\n"
        "A corpus is a set of lossless traces of desktop work: typing in an editor, a terminal, reading web pages, "
        "moving windows, a video clip beside a text, and an idle desktop. `bench/corpus.sh` plays them on a virtual "
        "desktop with real applications; any folder of such traces will do. Playhead's codec gets the pictures in "
        "fragments of one second, finds out itself what has changed, and everything is decoded again and compared in "
        "every pixel (*exact*). The others get the same pictures from ffmpeg, with one thread; the processor time for "
        "decoding the corpus is measured apart and subtracted.\n",
        *(corpus_section(corpus) for corpus in result["corpora"]),
    ]
    if result["agent"]:
        parts.append(agent.section(result["agent"], table, number))
    parts.append(
        "## How to repeat it\n\n"
        "```sh\n"
        "make bench                       # makes a corpus in corpus/ when there is none\n"
        "make bench CORPUS=DIR,DIR2       # other corpora\n"
        "bench/corpus.sh DIR --seconds 30 # a corpus\n"
        "playhead bench codec DIR --json  # the codec alone\n"
        "playhead bench codec DIR --store DIR2 && playhead bench repack DIR2 # re-packing alone\n"
        "bench/peers.py DIR               # the other encoders alone\n"
        "bench/agent.py                   # the agent alone\n"
        "```\n\n"
        "Use a machine that does nothing else meanwhile; it takes about half an hour.\n"
    )
    return "\n".join(parts)


def say(line):
    print(line, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="length of each segment of a corpus that is made")
    parser.add_argument("--peers", help="encoders to compare with, separated by commas")
    parser.add_argument("--no-agent", dest="agent", action="store_false", help="do not measure the agent")
    parser.add_argument("--render", action="store_true", help="write the document from target/bench/results.json")
    arguments = parser.parse_args()
    if arguments.render:
        result = json.loads(RESULTS.read_text())
    else:
        if not os.access(PLAYHEAD, os.X_OK):
            raise RuntimeError(f"{PLAYHEAD} is not there: run 'make build' first")
        result = measure(arguments)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    _, heading, apart = DOCUMENT.read_text().partition(APART) if DOCUMENT.exists() else ("", "", "")
    DOCUMENT.write_text(render(result) + (f"\n{heading}{apart}" if heading else ""))
    inexact = [
        f"{corpus['name']}/{name}"
        for corpus in result["corpora"]
        for name, row in corpus["ours"].items()
        if not row["exact"]
    ]
    if inexact:
        raise RuntimeError(f"not exact: {', '.join(inexact)}")
    say(f"wrote {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"run.py: {error}")
