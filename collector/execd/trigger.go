package execd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/execd"
)

// Triggers that are no signals.
const (
	none    = "none"
	newline = "newline"
)

var signals = map[string]syscall.Signal{"SIGHUP": syscall.SIGHUP, "SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2}

// patience is how long a trigger waits for a program that does not read it.
const patience = time.Second

// trigger returns what tells the program to speak; nil: nothing does.
func (l *listener) trigger(p *execd.Program, heard *ear) func(ctx context.Context) error {
	if sig, ok := signals[l.cfg.Trigger]; ok {
		return func(context.Context) error { return poke(p, sig) }
	}
	if l.cfg.Trigger == newline {
		return func(ctx context.Context) error { return nudge(ctx, p, heard) }
	}
	return nil
}

// poke sends the program a signal. That it has ended is told elsewhere.
func poke(p *execd.Program, sig syscall.Signal) error {
	if err := p.Poke(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("trigger: %w", err)
	}
	return nil
}

// nudge writes the program an empty line, unless the last one waits still, and waits until it is read.
func nudge(ctx context.Context, p *execd.Program, heard *ear) error {
	if p.Unread() == 0 {
		if _, err := p.WriteWithin(patience, []byte{'\n'}); err != nil {
			heard.deaf.Store(true)
			return fmt.Errorf("trigger: the program has closed its input, or does not read it: %w", err)
		}
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	read := p.AwaitRead(patient) || ctx.Err() != nil
	heard.deaf.Store(!read)
	if !read {
		return fmt.Errorf("trigger: the program has not read it within %v: it is busy, or hangs, or wants no trigger", patience)
	}
	return nil
}
