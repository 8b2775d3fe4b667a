package lab

import (
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// A Log is what a program has logged so far. It keeps the last MiB of it, at least.
type Log struct {
	mu   sync.Mutex
	text []byte
}

// logKept bounds a log: a program that floods must not take our memory.
const logKept = 1 << 20

// Write adds what the program logs.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text = append(l.text, p...); len(l.text) > 2*logKept {
		l.text = append(l.text[:0], l.text[len(l.text)-logKept:]...)
	}
	return len(p), nil
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Tail returns the end of the log.
func (l *Log) Tail() string {
	const most = 4 << 10
	text := l.String()
	return text[max(0, len(text)-most):]
}

// A Record is one line of the log.
type Record struct {
	Time               time.Time
	Level, Msg, Plugin string
}

// First returns the first record with a message after a time; plugin may be empty, for the agent's own.
func (l *Log) First(after time.Time, plugin, msg string) (r Record, ok bool) {
	for line := range strings.Lines(l.String()) {
		var r Record
		if json.Unmarshal([]byte(line), &r) == nil && r.Msg == msg && r.Plugin == plugin && r.Time.After(after) {
			return r, true
		}
	}
	return Record{}, false
}
