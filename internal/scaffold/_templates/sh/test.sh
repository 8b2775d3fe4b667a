#!/bin/sh
# Checks that my-plugin keeps what every KIND promises; pacewire conform --list names it.
cd "$(dirname "$0")" || exit
exec "${PACEWIRE_BINARY:-pacewire}" conform --kind KIND -- ./my-plugin.sh
