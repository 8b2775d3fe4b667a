package plugin

import (
	"cmp"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
)

// newLog returns a log that writes to w: JSON for an agent to read, else text for people.
func newLog(w io.Writer, env map[string]string, verbose bool, o Options) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	if env["PACEWIRE_PLUGIN"] != "" {
		h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
		return slog.New(h).With("host", o.Host, "plugin", cmp.Or(o.Process, o.Plugin))
	}
	return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: env["NO_COLOR"] != "" || !isTerminal(w)}))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
