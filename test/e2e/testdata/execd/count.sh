#!/bin/sh
# An execd program of each kind: count.sh input | processor | output FILE.
# It reads lines to the end of its input, and has no answer for whoever writes them.
case $1 in
input) # a point for each newline
	n=0
	while read -r _; do
		n=$((n + 1))
		echo "D! asked $n times" >&2
		echo "beat n=${n}i"
	done
	;;
processor) # line protocol, and line protocol again
	while IFS= read -r line; do
		printf 'p_%s\n' "$line"
	done
	;;
output) # line protocol
	while IFS= read -r line; do
		printf '%s\n' "$line" >>"$2"
	done
	;;
*)
	echo "E! want input, processor or output, not '$1'" >&2
	exit 2
	;;
esac
