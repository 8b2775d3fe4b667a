package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// A log is what a program that runs has logged so far.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds what the program logs.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// started returns when the agent has first started a process of a plugin after a time.
func (l *log) started(plugin string, after time.Time) (at time.Time, ok bool) {
	for line := range strings.Lines(l.String()) {
		var r struct {
			Time        time.Time
			Msg, Plugin string
		}
		err := json.Unmarshal([]byte(line), &r)
		if err == nil && r.Msg == "child started" && r.Plugin == plugin && r.Time.After(after) {
			return r.Time, true
		}
	}
	return at, false
}
