#!/bin/sh
# my-plugin is a publisher of pacewire: it appends points to a file, a line of JSON each.
set -eu

# The shim speaks to the bus. For each batch it calls this script with the word batch, and its points come in, a line each.
if [ "${1-}" != batch ]; then
	exec pacewire plugin shim --kind publisher --format json --each "$@" -- "$0" batch
fi

# The settings of the plugin come as PW_NAME.
path=${PW_PATH:-my-plugin.jsonl}

# Go on here. Exit code 0 promises that the sink has every point; 75: the same batch again later; 65: it is set aside.
cat >>"$path"
sync "$path"
