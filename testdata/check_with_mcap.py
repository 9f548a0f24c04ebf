#!/usr/bin/env python3
"""Read recording files with the public `mcap` package and nothing of ours.

    check_with_mcap.py FILE...

Prints a line per file. Fails when the package cannot read a file, when a checksum differs, or when what it
reads is not laid out as docs/format.md says. Installs the package into a virtual environment under target/ when
this Python lacks it.
"""

import json
import os
import struct
import subprocess
import sys
import venv
from pathlib import Path

VENV = Path(__file__).resolve().parent.parent / "target" / "mcap-python"
PACKAGES = ["mcap==1.6.0", "zstandard"]


def with_mcap():
    """Import the package, or start again with a Python that has it."""
    try:
        import mcap.reader
        import zstandard  # noqa: F401  the package needs it for our chunks
    except ImportError:
        python = VENV / "bin" / "python"
        if Path(sys.prefix).resolve() == VENV.resolve():
            raise
        if not python.exists():
            venv.create(VENV, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
        os.execv(python, [str(python), *sys.argv])
    return mcap


def expect(what, actual, expected):
    if actual != expected:
        raise SystemExit(f"{what}: expected {expected!r}, got {actual!r}")


def check(path):
    from mcap.reader import make_reader
    from mcap.stream_reader import StreamReader

    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        header = reader.get_header()
        expect("profile", header.profile, "playhead")
        expect("library", header.library.split("/")[0], "playhead")
        summary = reader.get_summary()
        topics = {channel.id: channel.topic for channel in summary.channels.values()}
        expect("channel 1", topics[1], "fragment")
        expect("channel 3", topics[3], "screen")

        heads, counts, info = [], {}, None
        for _, channel, message in reader.iter_messages(log_time_order=False):
            counts[channel.id] = counts.get(channel.id, 0) + 1
            if channel.topic == "fragment":
                expect("bytes of a fragment head", len(message.data) >= 112, True)
                _, flags, _, _, seq, start_us, end_us = struct.unpack_from("<BBHIQQQ", message.data)
                expect("time of a fragment head", message.log_time, start_us * 1000)
                heads.append((seq, flags, start_us, end_us))
            elif channel.topic == "meta":
                words = json.loads(message.data)
                if words["type"] == "recording" and info is None:
                    info = words["info"]
        statistics = summary.statistics
        expect("messages", sum(counts.values()), statistics.message_count)
        expect("messages by channel", counts, dict(statistics.channel_message_counts))
        expect("chunks", statistics.chunk_count, len(heads))
        expect("chunk indexes", len(summary.chunk_indexes), len(heads))
        expect("fragments in order", [head[0] for head in heads], list(range(heads[0][0], heads[0][0] + len(heads))))
        attachments = [attachment.name for attachment in reader.iter_attachments()]
        expect("attachments", attachments, ["playhead/index"])

    # Record by record, so that the checksum over the data section is looked at as well.
    with open(path, "rb") as file:
        records = sum(1 for _ in StreamReader(file, validate_crcs=True, emit_chunks=True).records)
    print(f"{Path(path).name}: {len(heads)} fragments, {records} records, user {info['user']} on {info['host']}")


def main():
    with_mcap()
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    for path in sys.argv[1:]:
        check(path)


if __name__ == "__main__":
    main()
