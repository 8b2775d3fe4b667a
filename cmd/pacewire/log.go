package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
)

// logger returns the log of agent and hub: text with colours on a terminal, JSON elsewhere.
func (a *app) logger(to io.Writer) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case a.flags.verbose:
		level = slog.LevelDebug
	case a.flags.quiet:
		level = slog.LevelWarn
	case a.logLevel != "":
		_ = level.UnmarshalText([]byte(a.logLevel)) // debug, info, warn or error: checked with the config
	}
	text := a.flags.logFormat == "text" || a.flags.logFormat == "" && isTerminal(to)
	if text {
		return slog.New(tint.NewTextHandler(to, &tint.Options{Level: level, TimeFormat: "15:04:05", NoColor: a.flags.noColor || !isTerminal(to)}))
	}
	return slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level}))
}

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && info.Name() != "null"
}
