#!/usr/bin/env python3
"""Encode a corpus with general-purpose encoders and report bytes and processor time.

  peers.py CORPUS [--only x264rgb-ultrafast,png] [--json FILE] [--keep FOLDER]

A corpus is a folder of SEGMENT.mkv and SEGMENT.json, as corpus.sh makes them. Every encoder gets the pictures that
differ from the one before, as a change-driven recorder would feed it, and one thread. Processor time is that of the
whole ffmpeg process without what decoding the corpus costs, measured apart. The first picture is encoded alone as
well: on quiet desktops it is nearly all there is.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# name: (exact to the pixel, ffmpeg's output options, ending of the file)
ENCODERS = {
    "x264rgb-ultrafast": (True, "-c:v libx264rgb -preset ultrafast -qp 0 -pix_fmt bgr0", "mkv"),
    "x264rgb-veryfast": (True, "-c:v libx264rgb -preset veryfast -qp 0 -pix_fmt bgr0", "mkv"),
    "vp9-lossless": (
        True,
        "-c:v libvpx-vp9 -lossless 1 -deadline realtime -cpu-used 8 -tune-content screen -pix_fmt gbrp",
        "mkv",
    ),
    "ffv1": (True, "-c:v ffv1 -level 3 -pix_fmt bgr0", "mkv"),
    "zmbv": (True, "-c:v zmbv -pix_fmt bgr0", "mkv"),
    "qtrle": (True, "-c:v qtrle -pix_fmt rgb24", "mov"),
    "png": (True, "-c:v png -pix_fmt rgb24", "mkv"),
    "flashsv2": (False, "-c:v flashsv2 -pix_fmt bgr24", "flv"),
    "x264-crf23": (False, "-c:v libx264 -preset veryfast -tune zerolatency -crf 23 -pix_fmt yuv420p", "mkv"),
    "x264-crf28": (False, "-c:v libx264 -preset ultrafast -crf 28 -pix_fmt yuv420p", "mkv"),
    "vp9-crf32": (
        False,
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -tune-content screen -crf 32 -b:v 0 -pix_fmt yuv420p",
        "mkv",
    ),
    "svtav1-crf35": (False, "-c:v libsvtav1 -preset 10 -crf 35 -svtav1-params scm=1:lp=1 -pix_fmt yuv420p", "mkv"),
}

# What lossy recording is held against.
LOSSY = "x264-crf23"

# What reads the corpus; the times of its pictures stay as they are.
PASS = ["-fps_mode", "passthrough"]
# Decoding alone, into the form the encoders get.
DECODE = ["-c:v", "rawvideo", "-pix_fmt", "bgr0", "-enc_time_base", "1:1000", "-f", "null", "-"]


def ffmpeg(*arguments):
    """Runs ffmpeg and returns its processor time in seconds, user and system."""
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *map(str, arguments)]
    process = subprocess.Popen(command, env=dict(os.environ, SVT_LOG="0"))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"ffmpeg failed: {shlex.join(command)}")
    return usage.ru_utime + usage.ru_stime


def segments(corpus):
    """The segments of a corpus by name, with what their JSON files say."""
    found = {}
    for facts in sorted(Path(corpus).glob("*.json")):
        if facts.with_suffix(".mkv").exists():
            found[facts.stem] = json.loads(facts.read_text())
    if not found:
        raise RuntimeError(f"{corpus} holds no SEGMENT.mkv with a SEGMENT.json: make a corpus with bench/corpus.sh")
    return found


def available(names):
    """Those of the encoders that this machine's ffmpeg has."""
    listed = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True, check=True).stdout
    built = {words[1] for words in map(str.split, listed.splitlines()) if len(words) > 1}
    have = [name for name in names if shlex.split(ENCODERS[name][1])[1] in built]
    for name in names:
        if name not in have:
            print(f"{name}: not in this machine's ffmpeg, left out", file=sys.stderr)
    return have


def encode(source, options, output):
    """Encodes a file with one thread; returns bytes and processor seconds, decoding included."""
    cpu = ffmpeg("-threads", 1, "-i", source, *PASS, *shlex.split(options), "-threads", 1, output)
    return output.stat().st_size, cpu


def measure(corpus, names=None, tell=lambda line: None, keep=None):
    """Encodes every segment with every encoder; what LOSSY makes is left in the folder `keep`, by segment. Returns, by segment and encoder name:
    {lossless, first_bytes, rest_bytes, cpu_seconds}."""
    names = available(names or ENCODERS)
    result = {}
    for segment, facts in segments(corpus).items():
        source = Path(corpus) / f"{segment}.mkv"
        result[segment] = {}
        with tempfile.TemporaryDirectory() as folder:
            first = Path(folder) / "first.mkv"
            ffmpeg("-i", source, "-frames:v", 1, "-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", 0, first)
            decoding = min(
                ffmpeg("-threads", 1, "-i", source, *PASS, *DECODE)
                for _ in range(2)
            )
            for name in names:
                lossless, options, ending = ENCODERS[name]
                output = Path(folder) / f"encoded.{ending}"
                first_bytes, _ = encode(first, options, output)
                whole, cpu = encode(source, options, output)
                result[segment][name] = {
                    "lossless": lossless,
                    "first_bytes": first_bytes,
                    "rest_bytes": max(0, whole - first_bytes),
                    "cpu_seconds": round(max(0.0, cpu - decoding), 3),
                }
                if keep and name == LOSSY:
                    shutil.copyfile(output, Path(keep) / f"{segment}.{ending}")
                per_hour = whole / facts["seconds"] * 3600 / 1e6
                per_second = max(0.0, cpu - decoding) / facts["seconds"]
                tell(f"{segment:10} {name:18} {per_hour:10.0f} MB/h {per_second:7.3f} CPU")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--only", help="encoders to run, separated by commas: " + ", ".join(ENCODERS))
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--keep", type=Path, help=f"folder for what {LOSSY} makes, for `playhead bench codec --other`")
    arguments = parser.parse_args()
    names = arguments.only.split(",") if arguments.only else list(ENCODERS)
    unknown = [name for name in names if name not in ENCODERS]
    if unknown:
        parser.error(f"unknown encoders {', '.join(unknown)}: choose from {', '.join(ENCODERS)}")
    result = measure(arguments.corpus, names, lambda line: print(line, flush=True), arguments.keep)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"peers.py: {error}")
