package main

// beside starts one more sink that is owed all that the first is. It is asked for before the load.
func (t *trial) beside() *sink {
	s, err := newSink(t.oracle.Twin())
	t.must(err, "start one more sink")
	t.cleanup(s.Close)
	return s
}

// settleBeside waits until one more sink has all, and judges what it has: so many points may be there twice.
func (t *trial) settleBeside(s *sink, what string, windows int) {
	t.await(drainPatience, what+" has all", func() error { return yet(s.oracle.Settled(s.oracle.Obligations())) })
	c := s.oracle.Count()
	t.note("%s: %d points lost, %d came twice", what, c.Lost, c.Duplicated)
	if c.Lost+c.Invented+c.Altered > 0 || c.Duplicated > windows {
		t.errorf("%s: %v; %d may come twice", what, c, windows)
	}
}
