package main

import "time"

// rowsOfNetwork are the faults of the way between the parts.
func rowsOfNetwork() []row {
	return []row{
		{name: "F10", title: "agent and plugins cut off from the bus: reset, black hole, half open each way", run: busAway, doubles: true,
			promise: "a minute each; nothing is acknowledged meanwhile, no process grows by more than 20 MB, all that was acknowledged arrives after healing"},
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
		fault.do()
		t.sleep(time.Second) // for what was on its way
		acked, refused := t.oracle.Acked(), p.Refused()
		t.hold(t.span(5*time.Second, time.Minute))
		if now := t.oracle.Acked(); now == acked {
			t.bite("%s: nothing was acknowledged any more, %d connections were refused", fault.name, p.Refused()-refused)
		} else {
			t.errorf("%s: %d points were acknowledged without a bus", fault.name, now-acked)
		}
		p.Set(pass)
		t.note("%s: recovered %s after healing", fault.name, round(t.healed(time.Now(), 2*time.Minute)))
	}
	t.noteMemory("while the bus was away, and after", memory, growth)
	t.settle()
}
