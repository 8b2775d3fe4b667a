package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// pluginLines returns what is done with the lines that plugins print: built-ins log as JSON, which keeps its level; what
// others print is a line of information from stdout, and a warning from stderr.
func pluginLines(log *slog.Logger) func(plugin, stream string, line []byte) {
	return func(plugin, stream string, line []byte) {
		if record := logged(line); record != nil {
			passOn(log, plugin, record)
			return
		}
		level := slog.LevelInfo
		if stream == "stderr" {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "plugin printed", "plugin", plugin, "line", printable(string(line)))
	}
}

// logged returns the record of a log that a line is, nil if it is something else.
func logged(line []byte) map[string]any {
	var record map[string]any
	if len(line) > 0 && line[0] == '{' && json.Unmarshal(line, &record) == nil && record["msg"] != nil {
		return record
	}
	return nil
}

// spoken writes a line that a plugin printed for people: of a log record its level, message and facts.
func spoken(line string) string {
	record := logged([]byte(line))
	if record == nil {
		return printable(line)
	}
	text := fmt.Sprint(record["msg"])
	if level, ok := record["level"].(string); ok {
		text = strings.ToLower(level) + ": " + text
	}
	for _, key := range slices.Sorted(maps.Keys(record)) {
		switch key {
		case "level", "msg", "time", "plugin", "host":
		default:
			text += fmt.Sprintf(" %s=%v", key, record[key])
		}
	}
	return printable(text)
}

// passOn logs a record of a built-in as it was meant.
func passOn(log *slog.Logger, plugin string, record map[string]any) {
	level := slog.LevelInfo
	if text, ok := record["level"].(string); ok {
		_ = level.UnmarshalText([]byte(text))
	}
	message, _ := record["msg"].(string)
	attrs := []slog.Attr{slog.String("plugin", plugin)}
	for key, v := range record {
		switch key {
		case "level", "msg", "time", "plugin", "host":
		default:
			if text, ok := v.(string); ok {
				v = printable(text)
			}
			attrs = append(attrs, slog.Any(key, v))
		}
	}
	log.LogAttrs(context.Background(), level, printable(message), attrs...) //nolint:sloglint // it is the plugin's message, constant there
}

// printable escapes control characters: what a plugin prints must not play tricks on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
