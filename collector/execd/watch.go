package execd

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/internal/execd"
)

// deafTime is how long a program may neither print nor read its triggers.
const deafTime = 30 * time.Second

// watch ends a program that hangs, as far as that can be known.
func (l *listener) watch(ctx context.Context, p *execd.Program, heard *ear) {
	asked := l.cfg.Silence > 0
	if !asked && l.cfg.Trigger != newline {
		return
	}
	limit := cmp.Or(l.cfg.Silence.Std(), deafTime)
	look := time.NewTicker(max(limit/10, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		// What waits to be read here is our own silence.
		if heard.silent() >= limit && p.Waiting() == 0 && (asked || heard.deaf.Load()) {
			p.Condemn(fmt.Errorf("the program has printed nothing for %v", limit))
			return
		}
	}
}

// An ear is what is known of a program by what it does.
type ear struct {
	last  atomic.Int64 // when it has printed something, or was started: since the beginning, on a clock that nobody sets
	deaf  atomic.Bool  // it leaves its triggers unread
	begun time.Time
}

// newEar returns the ear of a program that starts now.
func newEar() *ear { return &ear{begun: time.Now()} }

func (e *ear) spoke() { e.last.Store(int64(time.Since(e.begun))) }

func (e *ear) silent() time.Duration { return time.Since(e.begun) - time.Duration(e.last.Load()) }
