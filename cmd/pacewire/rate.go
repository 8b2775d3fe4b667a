package main

import "time"

// rateSpan is the time that a rate is averaged over.
const rateSpan = 10 * time.Second

// A tally is the count of a plugin's points since the screen began. The plugin's own counter begins anew with each process;
// the tally does not.
type tally struct {
	total   uint64
	last    uint64 // the plugin's counter
	samples []sample
}

type sample struct {
	at    time.Time
	total uint64
}

// see takes the plugin's counter as it is at a time.
func (t *tally) see(counter uint64, now time.Time) {
	if counter < t.last { // a new process
		t.last = 0
	}
	t.total += counter - t.last
	t.last = counter
	t.samples = append(t.samples, sample{now, t.total})
	for len(t.samples) > 2 && now.Sub(t.samples[1].at) >= rateSpan {
		t.samples = t.samples[1:]
	}
}

// rate returns the points a second, over the last rateSpan.
func (t *tally) rate() float64 {
	if len(t.samples) < 2 {
		return 0
	}
	first, last := t.samples[0], t.samples[len(t.samples)-1]
	if span := last.at.Sub(first.at).Seconds(); span > 0 {
		return float64(last.total-first.total) / span
	}
	return 0
}
