#!/bin/sh
# load prints the load averages of this machine: a collector, by
#
#   pacewire plugin shim --kind collector --catalog load.json -- ./load.sh
#
# Each line is a point, in line protocol or JSON. The interval of the config comes as PACEWIRE_EVERY, in seconds; the setting proc as
# PW_PROC. What goes wrong is said on standard error: a program that ends is started again, later each time.

loadavg=${PW_PROC:-/proc}/loadavg

while read -r one five fifteen _ <"$loadavg"; do
	echo "load load1=$one,load5=$five,load15=$fifteen"
	sleep "${PACEWIRE_EVERY:-10}" || exit
done

echo "cannot read $loadavg" >&2
exit 1
