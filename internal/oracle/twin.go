package oracle

// Twin returns an oracle for one more sink: what is issued and acknowledged from now on by sources of o is owed to both. It is
// asked for before the first source is.
func (o *Oracle) Twin() *Oracle {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.twin = New()
	return o.twin
}

// Twin returns what the twin is owed of the batch.
func (b Batch) Twin() Batch { return *b.twin }

// Settled reports whether all of the batch has been delivered or set aside.
func (b Batch) Settled() bool {
	b.oracle.mu.Lock()
	defer b.oracle.mu.Unlock()
	return b.settled()
}
