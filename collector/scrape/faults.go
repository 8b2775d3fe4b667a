package scrape

import "log/slog"

// Faults are what is wrong with the targets. Each is logged when it is new, not whenever it is met.
type faults struct{ last, now map[string]bool }

// add logs err, unless it was there the last time.
func (f *faults) add(log *slog.Logger, what string, err error) {
	text := err.Error()
	if !f.last[text] && !f.now[text] {
		log.Warn(what, "error", err)
	}
	if f.now == nil {
		f.now = map[string]bool{}
	}
	f.now[text] = true
}

// turn ends a look at all there is.
func (f *faults) turn() { f.last, f.now = f.now, nil }
