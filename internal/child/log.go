package child

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
)

// Log returns what makes records of the lines of standard error: see Spec.Stderr. The level is that of a JSON record, or of a prefix
// as in "E! text", or else plain.
func Log(log *slog.Logger, plain slog.Level) func(line []byte) {
	return func(line []byte) {
		if text := strings.TrimSpace(string(line)); text != "" {
			level, text := levelOf(text, plain)
			log.Log(context.Background(), level, "program printed", "line", strings.ToValidUTF8(text, "\uFFFD"))
		}
	}
}

var levels = map[string]slog.Level{
	"E!": slog.LevelError, "W!": slog.LevelWarn, "I!": slog.LevelInfo, "D!": slog.LevelDebug, "T!": slog.LevelDebug,
}

func levelOf(line string, plain slog.Level) (slog.Level, string) {
	if head, text, ok := strings.Cut(line, " "); ok {
		if level, ok := levels[head]; ok {
			return level, text
		}
	}
	var r struct {
		Level slog.Level `json:"level"`
		Msg   string     `json:"msg"`
	}
	if line[0] == '{' && json.Unmarshal([]byte(line), &r) == nil && r.Msg != "" {
		return r.Level, line
	}
	return plain, line
}
