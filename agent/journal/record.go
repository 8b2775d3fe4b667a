package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Record is what a line says.
type Record struct {
	Level   slog.Level
	Message string      // harmless to a terminal
	Attrs   []slog.Attr // the other facts of a JSON record, in the order of their keys

	told bool // the line tells its level itself
	json bool
}

// Read returns what a line says that was printed to a stream: the record of a log, or a text with a mark of its level. A
// line without a level is one of information on stdout and a warning on stderr.
func Read(stream string, line []byte) Record {
	if r, ok := readJSON(line); ok {
		return r
	}
	line = plain(line)
	level, rest, told := mark(line)
	if !told {
		level = slog.LevelInfo
		if stream == "stderr" {
			level = slog.LevelWarn
		}
	}
	return Record{Level: level, Message: cut(Printable(string(rest[:min(len(rest), 2*maxText)]))), told: told}
}

// Text returns the record for people, without its level.
func (r Record) Text() string {
	if len(r.Attrs) == 0 {
		return r.Message
	}
	var b strings.Builder
	b.WriteString(r.Message)
	for _, a := range r.Attrs {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
	}
	return cut(b.String())
}

// String returns the record for people, with its level if it is that of a log.
func (r Record) String() string {
	if !r.json || !r.told {
		return r.Text()
	}
	return levelName(r.Level) + ": " + r.Text()
}

// LogTo passes the record on as it was meant by the plugin.
func (r Record) LogTo(log *slog.Logger, plugin string) {
	if !r.json {
		log.Log(context.Background(), r.Level, "plugin printed", "plugin", plugin, "line", r.Message)
		return
	}
	attrs := append([]slog.Attr{slog.String("plugin", plugin)}, r.Attrs...)
	log.LogAttrs(context.Background(), r.Level, r.Message, attrs...) //nolint:sloglint // it is the plugin's message, constant there
}

// readJSON reads a record as slog, zap, zerolog, logrus, pino and bunyan write it.
func readJSON(line []byte) (Record, bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' {
		return Record{}, false
	}
	fields := decode(line)
	message, ok := fields["msg"].(string)
	if !ok {
		message, ok = fields["message"].(string)
	}
	if !ok {
		return Record{}, false
	}
	r := Record{Level: slog.LevelInfo, Message: cut(Printable(message)), json: true}
	for _, key := range []string{"level", "lvl", "severity"} {
		if level, ok := valueLevel(fields[key]); ok {
			r.Level, r.told = level, true
			break
		}
	}
	r.Attrs = facts(fields)
	return r, true
}

// decode returns the fields of the object that line is, nil if it is none.
func decode(line []byte) (fields map[string]any) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber() // 1000000 is not to become 1e+06
	if d.Decode(&fields) != nil || d.More() {
		return nil
	}
	return fields
}

// facts returns the fields of a record that are not told elsewhere.
func facts(fields map[string]any) []slog.Attr {
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case "level", "lvl", "severity", "msg", "message", "time", "ts", "timestamp", "plugin", "host":
			continue
		}
		v := fields[key]
		switch text := v.(type) {
		case string:
			v = cut(Printable(text))
		case map[string]any, []any:
			nested, _ := json.Marshal(v)
			v = cut(Printable(string(nested)))
		}
		attrs = append(attrs, slog.Any(cut(Printable(key)), v))
	}
	return attrs
}
