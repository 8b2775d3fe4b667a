package conform

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// drains asks the plugin to end.
func (s *stage) drains() error {
	reply, body, err := s.ask(s.ctx, "drain", telemetry.CtlRequest{Args: map[string]any{"reason": "maintenance"}})
	switch {
	case err != nil:
		return err
	case !reply.OK:
		return broken(body, "it does not drain when asked to")
	case !s.proc.wait(s.ctx, drainWait):
		return broken(s.lastBody(), "it has not ended %v after it was asked to drain", drainWait)
	}
	if n := s.proc.Exit().Left; n > 0 {
		return broken(nil, "it ended and left %d processes behind", n)
	}
	return nil
}

// goodbye looks at the end of a process that was asked to end.
func (s *stage) goodbye() error {
	if !s.proc.ended() {
		return skipped("it has not ended")
	}
	pause(s.ctx, 50*time.Millisecond) // what it said last may be on its way
	if err := s.g.catchUp(s.ctx); err != nil {
		return err
	}
	all := s.all()
	if len(all) == 0 {
		return broken(nil, "it has ended without a heartbeat")
	}
	last := all[len(all)-1]
	switch {
	case last.err != nil:
		return broken(last.body, "the last heartbeat cannot be read: %v", last.err)
	case last.Bye == "":
		for _, b := range all {
			if b.Bye != "" {
				return broken(last.body, "it beats after its goodbye")
			}
		}
		return broken(last.body, "it has ended (%s) without a goodbye: the last heartbeat has no bye", s.proc.exit())
	case s.proc.Exit().Code != 0:
		return broken(last.body, "it ended with %s: want exit code 0 after a drain%s", s.proc.exit(), s.proc.lastWords())
	}
	for _, t := range s.own() {
		if t.Stored.After(last.at) {
			return broken(t.Body, "it has sent a batch after its goodbye")
		}
	}
	return nil
}
