#!/bin/bash
# Make the corpus: a lossless trace of each of six kinds of work on a virtual desktop.
#
#   bench/corpus.sh OUT [--seconds 30] [--seed N] [--size WIDTHxHEIGHT] [--display N] [--activities typing,idle]
#
# For each activity it writes OUT/ACTIVITY.mkv, which decodes to the distinct pictures in order with their real times
#   ffmpeg -i OUT/typing.mkv -fps_mode passthrough -pix_fmt bgr0 -f rawvideo -
# and OUT/ACTIVITY.json: {seconds, ticks, frames, width, height, timestamps_ms}. The pointer is not in the pictures.
# Other scripts may make traces of their own: everything here takes any folder of such files.
#
# PLAYHEAD names the program to use; target/release/playhead by default. Do not use the machine meanwhile.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
playhead=${PLAYHEAD:-$here/../target/release/playhead}
[ -x "$playhead" ] || { echo "corpus.sh: $playhead is not there: run 'make build' first" >&2; exit 1; }
exec "$playhead" bench corpus "$@"
