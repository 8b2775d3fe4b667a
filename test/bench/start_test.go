package main

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// What came before the start is of the process that was there before.
func TestObserver(t *testing.T) {
	begin := time.Now()
	var o observer
	f := func(s step, after, want time.Duration) {
		t.Helper()
		at, ok := o.first(s, begin.Add(after))
		if ok != (want > 0) || ok && at.Sub(begin) != want {
			t.Errorf("%v after %v: %v, %v; want %v", s, after, at.Sub(begin), ok, want)
		}
	}
	f(hello, 0, 0)
	o.beat(telemetry.Heartbeat{State: "running"}, begin.Add(1))
	o.beat(telemetry.Heartbeat{State: "starting", Hello: true}, begin.Add(5))
	o.beat(telemetry.Heartbeat{State: "running"}, begin.Add(7))
	o.beat(telemetry.Heartbeat{State: "running", Hello: true}, begin.Add(9))
	o.note(point, begin.Add(8))
	f(hello, 0, 5)
	f(hello, 5, 9)
	f(running, 0, 1)
	f(running, 2, 7)
	f(point, 2, 8)
	f(point, 8, 0)
	o.forget()
	f(running, 0, 0)
	for s, want := range map[step]string{hello: "hello", running: "running", point: "point"} {
		if s.String() != want {
			t.Errorf("step %d is %v", s, s)
		}
	}
}

func TestSpread(t *testing.T) {
	f := func(p50, most float64, all ...float64) {
		t.Helper()
		first := all[0]
		if a, b := spread(all); a != p50 || b != most || all[0] != first {
			t.Errorf("spread(%v) = %v, %v; want %v, %v", all, a, b, p50, most)
		}
	}
	f(3, 3, 3)
	f(2, 9, 9, 1, 2)
	f(5, 9, 9, 5, 2, 1)
}

func TestRan(t *testing.T) {
	s := settings{starts: 3}
	if took, err := s.ran("true"); err != nil || took <= 0 {
		t.Errorf("%v ms, %v", took, err)
	}
	for _, command := range []string{"false", "there-is-no-such-program"} {
		if _, err := s.ran(command); err == nil {
			t.Errorf("%s: no error", command)
		}
	}
}

// The script writes names as they are.
func TestNamesOfTheScript(t *testing.T) {
	for _, name := range []string{"bench", "script", "host"} {
		if bus.Token(name) != name {
			t.Errorf("%s is %s on the bus", name, bus.Token(name))
		}
	}
}
