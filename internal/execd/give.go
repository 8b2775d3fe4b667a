package execd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/plugin"
)

var (
	errDeaf   = errors.New("the program does not read what it is given")
	errClosed = errors.New("the program has closed its input")
	errMute   = errors.New("the program has closed its output, and lives on: nothing could come of it any more")
	errFull   = errors.New("the program does not read what it is given, and prints more than the bus takes")
)

// lingering is how long a program may live on that cannot be written to: one that ends is not yet gone when its input is closed.
const lingering = time.Second

// Give writes a batch to the program, and returns nil when that has read all of it: so there is one batch at most that was written
// and not read. Where the system does not tell what is read, what is written counts as that.
//
// An error ends the program. Of a batch that it has read a part of, nobody knows what has become: the error refuses it, so that it is
// set aside. One of which it has read nothing may be given again.
func (p *Program) Give(ctx context.Context, text []byte) error {
	stop := context.AfterFunc(ctx, p.End) // so that nobody writes for ever
	defer stop()
	n, err := p.Write(text)
	if err == nil && p.AwaitRead(ctx) {
		return nil
	}
	switch {
	case ctx.Err() != nil && p.Waiting() > 0:
		p.Condemn(errFull)
	case ctx.Err() != nil:
		p.Condemn(errDeaf)
	case err != nil && !p.goneWithin(lingering):
		p.Condemn(errClosed)
	}
	<-p.Gone()
	if err = p.reason(); p.Unread() < n {
		return plugin.Refuse(fmt.Errorf("the program has read a part of the batch, which is not given to it again: %w", err))
	}
	return err
}

// AwaitRead waits until the program has read all that was written, and reports whether it has. The system tells nobody when a pipe
// becomes empty, so it is asked again and again: often at first.
func (p *Program) AwaitRead(ctx context.Context) bool {
	for pause := 50 * time.Microsecond; p.Unread() > 0; pause = min(2*pause, 5*time.Millisecond) {
		if ctx.Err() != nil || p.goneWithin(pause) {
			return p.Unread() == 0
		}
	}
	return true
}

// muteTime is how long a program may live on that has closed its output: what it has started is looked for when it ends, which takes
// its time on a busy machine.
const muteTime = 3 * time.Second

// heardOut ends a program that has closed its output, unless it is about to end by itself.
func (p *Program) heardOut() {
	if !p.goneWithin(muteTime) && !p.leaving.Load() {
		p.Condemn(errMute)
	}
}

// goneWithin waits for the end of the program.
func (p *Program) goneWithin(d time.Duration) bool {
	select {
	case <-p.Gone():
		return true
	case <-time.After(d):
		return false
	}
}
