package main

import (
	"log/slog"
	"strings"

	"github.com/pacewire/pacewire/agent/journal"
)

// pluginLines returns what is done with the lines that plugins print: they are logged at the level they tell.
func pluginLines(log *slog.Logger) func(plugin, stream string, line []byte) {
	return func(plugin, stream string, line []byte) { journal.Read(stream, line).LogTo(log, plugin) }
}

// printable escapes control characters: what others have written must not play tricks on a terminal.
func printable(s string) string { return journal.Printable(s) }

// told returns a text of several lines that came over the bus, for a terminal.
func told(text string) string { return strings.TrimSuffix(string(harmless([]byte(text))), "\n") }
