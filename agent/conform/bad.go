package conform

import (
	"fmt"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// badBatches is the scene of a reader that is given batches which nobody can read.
func badBatches(s *stage) {
	if !s.kit.reads() {
		return
	}
	if !s.need("bad_batches", s.begins) {
		return
	}
	if !s.check("bad_batches", s.setsAside) {
		s.over = skipped("what is wrong with bad_batches is wrong with these too")
	}
	s.check("mutated_batches", s.survivesMutants)
}

// setsAside gives the plugin each golden batch that must be refused, between good ones.
func (s *stage) setsAside() error {
	if _, err := s.feed(1); err != nil {
		return err
	}
	want, err := s.feedBad()
	if err != nil {
		return err
	}
	if _, err := s.feed(3); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	letters := map[string]bus.Letter{}
	if err := s.until(s.ctx, inputWait, fmt.Sprintf("%d dead letters on %s", len(want), bus.DeadSubject(s.name)), func() bool {
		_ = s.g.conn.Letters(s.ctx, s.name, 0, func(l bus.Letter) error { letters[l.SourceID] = l; return nil })
		pause(s.ctx, 50*time.Millisecond)
		return len(letters) >= len(want)
	}); err != nil {
		return err
	}
	for id, w := range want {
		if err := w.fits(letters[id]); err != nil {
			return err
		}
	}
	return noted("%d batches, %d reasons", len(want), reasons(want))
}

// badBatch is one that was given, and the reason that is due.
type badBatch struct {
	file string
	code string
	body []byte
}

func reasons(all map[string]badBatch) int {
	seen := map[string]bool{}
	for _, b := range all {
		seen[b.code] = true
	}
	return len(seen)
}

// feedBad stores all of them, and returns them by their ids.
func (s *stage) feedBad() (map[string]badBatch, error) {
	codes, err := codesOf()
	if err != nil {
		return nil, err
	}
	files, err := golden("batch/invalid")
	if err != nil {
		return nil, err
	}
	want := map[string]badBatch{}
	for i, f := range files {
		id := fmt.Sprintf("%s/%s/bad/%d", bus.Token(hostName), bus.Token(s.sourceOf()), i)
		if err := s.store(id, contentOf(f.name), f.body); err != nil {
			return nil, err
		}
		want[id] = badBatch{f.name, codes[f.name], f.body}
	}
	return want, nil
}

// fits compares a dead letter with the batch it has to be of.
func (b badBatch) fits(l bus.Letter) error {
	switch {
	case l.Seq == 0:
		return broken(b.body, "the batch of %s, which nobody can read (%s), has no dead letter with its id in Pw-Source-Id", b.file, b.code)
	case l.Reason != b.code:
		return broken(b.body, "the dead letter of %s has Pw-Reason %q: want %q", b.file, l.Reason, b.code)
	case l.Subject == "":
		return broken(b.body, "the dead letter of %s has no Pw-Subject", b.file)
	case l.Stored.IsZero():
		return broken(b.body, "the dead letter of %s has no Pw-Stored", b.file)
	case string(l.Body) != string(b.body):
		return broken(l.Body, "the dead letter of %s has another content than the batch", b.file)
	}
	return nil
}
