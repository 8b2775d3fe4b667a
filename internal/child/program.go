package child

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// A Program is one that goes on running: what it reads is written to it, and what it prints is read from it.
type Program struct {
	*process.Process
	spec          Spec
	stdin, stdout *os.File
	lines         *stderr
	gone          chan struct{}
}

// pipeSize is what the pipes to and from a program hold, where the system lets us: a batch, so that neither side waits for the
// other in the middle of it.
const pipeSize = 1 << 20

// lingering is how long is read after the end of a program: somebody whom nobody could end may hold its output open.
const lingering = time.Second

// Start starts a program. The error is as that of Run.
func Start(s Spec) (*Program, error) {
	input, stdin, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Command[0], err)
	}
	defer input.Close()
	stdout, output, err := os.Pipe()
	if err != nil {
		stdin.Close()
		return nil, fmt.Errorf("start %s: %w", s.Command[0], err)
	}
	defer output.Close()
	widen(stdin, pipeSize)
	widen(stdout, pipeSize)
	p := &Program{spec: s, stdin: stdin, stdout: stdout, lines: newStderr(s.Stderr), gone: make(chan struct{})}
	c := s.command()
	c.Stdin, c.Stdout, c.Stderr = input, output, p.lines
	if p.Process, err = process.Start(c); err != nil {
		stdin.Close()
		stdout.Close()
		return nil, explained(s.Command, err)
	}
	go p.watch()
	return p, nil
}

// watch gives up both pipes at the end of the program: nobody waits for who is not there.
func (p *Program) watch() {
	defer close(p.gone)
	<-p.Process.Done()
	p.lines.Flush()
	_ = p.stdin.SetWriteDeadline(time.Now())
	_ = p.stdout.SetReadDeadline(time.Now().Add(lingering))
}

// Gone is closed when the program has ended, with all that it has started. What it had printed can be read still, until Close.
func (p *Program) Gone() <-chan struct{} { return p.gone }

// Write writes to the program's standard input.
func (p *Program) Write(text []byte) (int, error) { return p.stdin.Write(text) }

// WriteWithin is Write, and gives up after a while.
func (p *Program) WriteWithin(d time.Duration, text []byte) (int, error) {
	_ = p.stdin.SetWriteDeadline(time.Now().Add(d))
	return p.Write(text)
}

// Read reads what the program has printed.
func (p *Program) Read(buf []byte) (int, error) { return p.stdout.Read(buf) }

// Unread returns how many bytes were written that the program has not read; 0 where the system does not tell.
func (p *Program) Unread() int { return waiting(p.stdin) }

// Waiting returns how many bytes it has printed that were not read here; 0 where the system does not tell.
func (p *Program) Waiting() int { return waiting(p.stdout) }

// LastLine is the last line on standard error that is not blank.
func (p *Program) LastLine() string { return p.lines.last() }

// Ended waits for the end of the program, and says how that came.
func (p *Program) Ended() error {
	<-p.gone
	return fmt.Errorf("the program has ended: %s", p.Exit())
}

// Saying adds to an error what a program has said last.
func Saying(err error, last string) error {
	if last == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, last)
}

// HangUp tells the program by the end of its input that no more comes.
func (p *Program) HangUp() { _ = p.stdin.Close() }

// Stop ends the program and returns when nothing is left of it: it hears of the end of its input, has patience to end by itself, then
// SIGTERM, and its grace. When ctx ends it has no more than that.
func (p *Program) Stop(ctx context.Context, patience time.Duration) {
	p.HangUp()
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.gone:
	case <-wait.Done():
		p.End()
	}
	<-p.gone
}

// End ends the program with SIGTERM and, after its grace, with SIGKILL. It does not wait: Gone tells.
func (p *Program) End() { p.Terminate(p.spec.grace()) }

// Close gives the pipes back. The program has ended before.
func (p *Program) Close() {
	_ = p.stdin.Close()
	_ = p.stdout.Close()
}
