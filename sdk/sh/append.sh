#!/bin/sh
# append writes points to a file: a publisher, by
#
#   pacewire plugin shim --kind publisher -- ./append.sh
#
# It reads the points of a batch, a line each, and an empty line. It prints an empty line when they are on disk, and before it
# "!retry TEXT" when they are not: then the same batch comes again.

file=${PW_PATH:-points.json}
part=$file.part

# What was cut off in the middle of a line, by a full disk or a kill, must not have the next line at its end.
whole() {
	[ -z "$(tail -c 1 "$file" 2>/dev/null)" ] || echo >>"$file"
}

append() {
	whole && cat "$part" >>"$file" && sync "$file"
}

exec 3>"$part" || exit
while IFS= read -r line; do
	if [ -n "$line" ]; then
		printf '%s\n' "$line" >&3
		continue
	fi
	append || echo "!retry cannot write $file"
	echo
	exec 3>"$part"
done
