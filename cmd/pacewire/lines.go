package main

import (
	"log/slog"

	"github.com/pacewire/pacewire/agent/journal"
)

// pluginLines returns what is done with the lines that plugins print: they are logged at the level they tell.
func pluginLines(log *slog.Logger) func(plugin, stream string, line []byte) {
	return func(plugin, stream string, line []byte) { journal.Read(stream, line).LogTo(log, plugin) }
}

// printable escapes control characters: what others have written must not play tricks on a terminal.
func printable(s string) string { return journal.Printable(s) }
