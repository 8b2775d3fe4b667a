package main

import "time"

// rowsOfNetwork are the faults of the way between the parts.
func rowsOfNetwork() []row {
	return []row{
		{name: "F10", title: "agent and plugins cut off from the bus: reset, black hole, half open each way", run: busAway,
			promise: "a minute each; nothing is acknowledged meanwhile, no process grows by more than 20 MB, all that was acknowledged arrives after healing"},
		{name: "S1", title: "a slow way to the bus: latency, and a low rate, `order: source`", run: slowBus,
			promise: "less is taken and it comes late; nothing is lost, doubled or out of order"},
	}
}

// F10
func busAway(t *trial) {
	var p *proxy
	t.apart(pipeline{}, func(address string) string {
		p = t.proxyTo(address)
		return p.Address()
	})
	t.load(t.standard())
	t.hold(t.span(3*time.Second, 20*time.Second)) // processes grow when they are young
	memory := t.watchMemory()
	faults := []struct {
		name string
		do   func()
	}{
		{"reset", func() { p.Set(cut) }},
		{"black hole", func() { p.Set(blackhole) }},
		{"deaf bus", func() { p.SetHalf(there, blackhole) }},
		{"mute bus", func() { p.SetHalf(back, blackhole) }},
	}
	for _, fault := range faults {
		t.hold(3 * time.Second)
		held := p.Held()
		fault.do()
		t.sleep(time.Second) // for what was on its way
		acked, refused := t.oracle.Acked(), p.Refused()
		t.hold(t.span(5*time.Second, time.Minute))
		if now := t.oracle.Acked(); now == acked {
			t.bite("%s: nothing was acknowledged any more, %d connections were refused, %d bytes held", fault.name, p.Refused()-refused, p.Held()-held)
		} else {
			t.errorf("%s: %d points were acknowledged without a bus", fault.name, now-acked)
		}
		p.Set(pass)
		t.note("%s: recovered %s after healing", fault.name, round(t.healed(time.Now(), 2*time.Minute)))
	}
	t.noteMemory("while the bus was away, and after", memory, growth)
	t.settle()
}

const (
	slowLatency = 50 * time.Millisecond // each way
	slowRate    = 128 << 10             // bytes a second, of each way and connection
)

// S1
func slowBus(t *trial) {
	var p *proxy
	t.apart(pipeline{process: "mid: { use: filter, from: in, " + inOrder + " }"}, func(address string) string {
		p = t.proxyTo(address)
		return p.Address()
	})
	t.load(load{hosts: 20, batches: 500, points: 20})
	t.hold(2 * time.Second)
	quick := t.rate(2 * time.Second)
	p.Slow(slowLatency, slowRate)
	t.hold(3 * time.Second) // for what is fast still
	arrived := t.oracle.Arrived()
	slow := t.rate(t.span(8*time.Second, 20*time.Second))
	arrived = t.oracle.Arrived() - arrived
	t.note("%.0f points/s are acknowledged instead of %.0f, and %d arrived meanwhile", slow, quick, arrived)
	if slow > 0 && slow < quick/2 && arrived > 0 {
		t.bite("%.0f points/s instead of %.0f", slow, quick)
	}
	p.Slow(0, 0)
	t.healed(time.Now(), time.Minute)
	t.hold(time.Second)
	t.settle()
	t.inOrder()
}

// rate returns how many points are acknowledged a second.
func (t *trial) rate(d time.Duration) float64 {
	begin, acked := time.Now(), t.oracle.Acked()
	t.sleep(d)
	return float64(t.oracle.Acked()-acked) / time.Since(begin).Seconds()
}
