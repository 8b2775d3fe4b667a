// Package texttest keeps text that others write while a test reads it.
package texttest

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// A Buffer is a log, or an output, that several goroutines write and a test reads meanwhile. The zero value is empty and ready.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the text.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what has been written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Count returns how often a text has been written.
func (b *Buffer) Count(text string) int { return strings.Count(b.String(), text) }

// Logger returns a log of all levels that is written to b.
func (b *Buffer) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
