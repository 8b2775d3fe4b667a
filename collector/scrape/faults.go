package scrape

// Faults are what is wrong with the targets. Each is to be logged when it is new, not whenever it is met.
type faults struct{ last, now map[string]bool }

// add notes err, and reports whether it is new.
func (f *faults) add(err error) bool {
	text := err.Error()
	known := f.last[text] || f.now[text]
	if f.now == nil {
		f.now = map[string]bool{}
	}
	f.now[text] = true
	return !known
}

// turn ends a look at all there is.
func (f *faults) turn() { f.last, f.now = f.now, nil }
