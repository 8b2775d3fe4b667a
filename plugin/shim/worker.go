package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/telemetry"
)

// Patience is how long a program has to end by itself when its input has ended: one that answers is waiting for more and hears of it, one
// that collects may have no ear for it.
const (
	workerPatience = 5 * time.Second
	streamPatience = 2 * time.Second
)

// A worker is a program that goes on running, and answers each batch.
type worker struct {
	runner
	faults
	text []byte // of the last batch, for the room it has

	mu   sync.Mutex
	prog *program // nil: there is none
	busy bool     // it has a batch
}

// A program is one that runs, and what it prints.
type program struct {
	*child.Program
	*child.Reader
}

func newWorker(r runner) (*worker, error) {
	w := &worker{runner: r, faults: newFaults()}
	if _, err := w.take(); err != nil {
		return nil, err
	}
	w.release()
	return w, nil
}

// take returns the program, for one batch; it is started if there is none.
func (w *worker) take() (*program, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.prog == nil {
		p, err := child.Start(w.spec)
		if err != nil {
			return nil, err
		}
		w.prog = &program{p, child.NewReader(p)}
		w.env.Log.Info("program started", "pid", p.PID())
		go w.watch(w.prog)
	}
	w.busy = true
	return w.prog, nil
}

// release says that the program has no batch any more.
func (w *worker) release() {
	w.mu.Lock()
	p := w.prog
	w.busy = false
	w.mu.Unlock()
	if p != nil && isClosed(p.Gone()) {
		w.lost(p)
	}
}

// watch waits for the end of a program.
func (w *worker) watch(p *program) {
	<-p.Gone()
	w.lost(p)
}

// lost ends the work when the program has ended by itself while it had nothing to do: it is started again when package plugin lets the
// work begin again, later each time. Who is in a call sees it for himself.
func (w *worker) lost(p *program) {
	w.mu.Lock()
	mine := w.prog == p && !w.busy
	if mine {
		w.prog = nil
	}
	w.mu.Unlock()
	if mine {
		w.fail(ended(p.Program))
		p.Close()
	}
}

// discard ends a program that nobody can go on with.
func (w *worker) discard(p *program) {
	p.End()
	<-p.Gone()
	p.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.prog = nil
}

// Close ends the program: it hears by the end of its input that no more comes.
func (w *worker) Close() error {
	w.mu.Lock()
	p := w.prog
	w.prog = nil
	w.mu.Unlock()
	if p != nil {
		p.Stop(w.life, workerPatience)
		p.Close()
	}
	return nil
}

// ask gives the program a batch, and returns the lines of its answer.
func (w *worker) ask(ctx context.Context, in *telemetry.Batch) ([]byte, error) {
	if w.text = w.codec.encode(w.text[:0], in); len(w.text) == 0 {
		return nil, nil
	}
	w.text = append(w.text, '\n')
	lines, err := w.give(ctx, w.text)
	if err != nil {
		return nil, err
	}
	return lines, refusal(lines)
}

// give writes a batch, and returns what comes back.
func (w *worker) give(ctx context.Context, text []byte) ([]byte, error) {
	p, err := w.take()
	if err != nil {
		w.fail(err) // it is no fault of the batch
		return nil, err
	}
	defer w.release()
	if err := p.quiet(); err != nil {
		w.discard(p)
		w.fail(err)
		return nil, err
	}
	lines, taken, err := p.exchange(ctx, text)
	if err == nil {
		return lines, nil
	}
	err = p.reason(ctx, taken, err)
	w.discard(p)
	if !taken {
		w.fail(err)
	}
	return nil, err
}

// quiet returns an error when the program has said something that nobody has asked for. It would be taken for its next answer.
func (p *program) quiet() error {
	if p.Waiting() == 0 {
		return nil
	}
	said := make([]byte, toldBytes)
	n, _ := p.Read(said) // what is there does not block
	return fmt.Errorf("the program speaks without being asked, as a collector does, so that its answers cannot be told apart: %q", said[:n])
}

// exchange writes a batch and reads the answer. taken says whether the program has read anything of the batch.
func (p *program) exchange(ctx context.Context, text []byte) (lines []byte, taken bool, err error) {
	stop := context.AfterFunc(ctx, p.End)
	defer stop()
	type writing struct {
		n   int
		err error
	}
	written := make(chan writing, 1) // 1: it ends whoever listens
	go func() {
		n, err := p.Write(text)
		written <- writing{n, err}
	}()
	lines, err = p.Answer()
	if err != nil { // nobody reads on: let the writer end
		p.End()
		<-p.Gone()
	}
	w := <-written
	unread := p.Unread()
	switch {
	case err != nil:
	case w.err != nil:
		err = w.err
	case unread > 0:
		err = fmt.Errorf("it has answered with %d bytes of the batch unread: it is to print an empty line once, when it has read one", unread)
	}
	return lines, unread < w.n, err
}

// errDeaf is no fault of the batch, and nothing that another try would mend.
var errDeaf = errors.New("the program does not read what it is given")

// reason says why a batch has no answer. taken says whether the program has read anything of it.
func (p *program) reason(ctx context.Context, taken bool, err error) error {
	switch {
	case ctx.Err() != nil && !taken:
		return errDeaf
	case ctx.Err() != nil:
		return child.Saying(fmt.Errorf("%w: the program has read the batch, and printed %d bytes without an empty line; "+
			"one that keeps back what it prints, or reads to the end first, works with --each", ctx.Err(), p.Held()), p.LastLine())
	case errors.Is(err, child.ErrTooMuch), errors.Is(err, child.ErrStray):
		return fmt.Errorf("the program cannot be followed: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
		return ended(p.Program)
	}
	return fmt.Errorf("the program: %w", err)
}

// ended says how a program has ended.
func ended(p *child.Program) error {
	err := p.Ended()
	if p.Exit().Code == 0 {
		err = fmt.Errorf("%w: one that works once and ends wants --each", err)
	}
	return child.Saying(err, p.LastLine())
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
