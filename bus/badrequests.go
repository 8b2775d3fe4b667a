package bus

import (
	"log/slog"
	"maps"
	"sync"
	"time"
)

// badRequests counts what is refused by rule, and logs it: each subject once a minute, and no more than logLines of them.
// Who floods with new subjects fills neither memory nor disk.
type badRequests struct {
	mu     sync.Mutex
	counts map[string]uint64
	logged map[string]struct{} // in the minute that began at since: subjects
	since  time.Time
	silent uint64 // subjects that found no line in that minute
}

const (
	logEvery = time.Minute
	logLines = 20
)

// BadRequests counts what Handle refused, by the rule it broke: subject, header,
// body, responder.
func (c *Conn) BadRequests() map[string]uint64 {
	c.bad.mu.Lock()
	defer c.bad.mu.Unlock()
	return maps.Clone(c.bad.counts)
}

func (b *badRequests) refuse(log *slog.Logger, rule, subject string, err error) {
	b.mu.Lock()
	if b.counts == nil {
		b.counts = make(map[string]uint64)
	}
	b.counts[rule]++
	b.mu.Unlock()
	b.note(log, rule, subject, err)
}

// note logs one that went wrong, if there is a line left for it.
func (b *badRequests) note(log *slog.Logger, rule, subject string, err error) {
	if line, silent := b.line(subject); line {
		facts := []any{"subject", subject, "rule", rule, "err", err}
		if silent > 0 {
			facts = append(facts, "suppressed", silent)
		}
		log.Warn("bad request", facts...)
	}
}

// line takes a line for subject; the first one of a minute tells how many had none in the one before.
func (b *badRequests) line(subject string) (ok bool, silent uint64) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.logged == nil || now.Sub(b.since) >= logEvery {
		silent = b.silent
		b.logged, b.since, b.silent = make(map[string]struct{}, logLines), now, 0
	}
	if _, seen := b.logged[subject]; seen {
		return false, 0
	}
	if len(b.logged) >= logLines {
		b.silent++
		return false, 0
	}
	b.logged[subject] = struct{}{}
	return true, silent
}
