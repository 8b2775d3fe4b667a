#!/bin/sh
# prefix puts a text before the name of each series, and drops series of a name: a processor, by
#
#   pacewire plugin shim --kind processor --format lines -- ./prefix.sh
#
# It reads the points of a batch, a line each, and an empty line; it prints what goes on, and an empty line. Only then is the batch
# done with: a program that dies in between gets it again.

while IFS= read -r line; do
	case $line in
	'') echo ;; # the batch has ended, and so does the answer
	"${PW_DROP:-debug}"[,\ ]*) ;;
	*) printf '%s\n' "${PW_PREFIX-sh_}$line" ;;
	esac
done
