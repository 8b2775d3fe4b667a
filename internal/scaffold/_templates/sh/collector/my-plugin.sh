#!/bin/sh
# my-plugin is a collector of pacewire: it counts the files of a folder.
set -eu

# The shim speaks to the bus. At each interval it calls this script with the word tick, and every line printed is a point.
if [ "${1-}" != tick ]; then
	exec pacewire plugin shim --kind collector --format lines --each "$@" -- "$0" tick
fi

# The settings of the plugin come as PW_NAME. An exit code that is not 0 is told to the operator, with what stderr says.
path=${PW_PATH:-/tmp}
if [ ! -d "$path" ]; then
	echo "path: $path is no folder" >&2
	exit 1
fi

# Go on here: print what you want to know. In tags a backslash stands before commas, blanks and =.
tag=$(printf '%s' "$path" | sed 's/[, =\\]/\\&/g')
files=$(find "$path" -mindepth 1 -maxdepth 1 | wc -l)
echo "my-plugin,path=$tag files=${files}i"
