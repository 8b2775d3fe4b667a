#!/bin/sh
# my-plugin is a processor of pacewire: it gives every point a tag.
set -eu

# The shim speaks to the bus. For each batch it calls this script with the word batch: its points come in, a line each, and what is
# printed goes on. What is not printed is dropped.
if [ "${1-}" != batch ]; then
	exec pacewire plugin shim --kind processor --format lines --each "$@" -- "$0" batch
fi

# The settings of the plugin come as PW_NAME. In line protocol a backslash stands before commas, blanks and = of a tag.
SITE=$(printf '%s' "${PW_SITE:-lab}" | sed 's/[, =]/\\&/g')
export SITE

# Go on here: series,tag=text,tag=text field=1.5,field=3i,field="text" time
# Exit code 0: what is printed is the answer; 75: the same batch again later; 65: it is set aside.
exec awk '{
	end = match($0, /[^\\][, ]/) # of the series
	print substr($0, 1, end) ",site=" ENVIRON["SITE"] substr($0, end + 1)
}'
