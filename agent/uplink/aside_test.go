package uplink

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// What is refused waits, however long, until something that was sent later is taken.
func TestRefusedForLong(t *testing.T) {
	f := func(why error) {
		t.Helper()
		c := New(Options{Host: host, Log: slog.New(slog.DiscardHandler)}).carriers[0]
		p := &passage{carrier: c}
		first := time.Now().Add(-time.Hour)
		it := &parcel{Delivery: &bus.Delivery{Subject: "pw.metrics.h1.cpu"}, taken: first, err: why}
		for _, taken := range []time.Time{{}, first.Add(-time.Second), first} { // of the last that was stored
			c.passed = taken
			if set, err := p.setAside(t.Context(), it); set || !errors.Is(err, errNotYet) {
				t.Errorf("%v, others taken at %v: %v, %v", why, taken, set, err)
			}
		}
		if !strings.Contains(c.waits, it.Subject) {
			t.Errorf("%v: the reason is %q", why, c.waits)
		}
		if c.passed = first.Add(time.Second); !p.refusedForLong(it) {
			t.Errorf("%v: others are taken, and it waits", why)
		}
		fresh := &parcel{Delivery: &bus.Delivery{Subject: "pw.metrics.h1.mem"}, taken: time.Now(), err: why}
		if c.passed = time.Now(); p.refusedForLong(fresh) {
			t.Errorf("%v: nobody had time to mend it", why)
		}
	}
	f(bus.ErrDenied)
	f(bus.ErrRefused)
}

// Much that is set aside is one line in the log.
func TestLogAside(t *testing.T) {
	var log bytes.Buffer
	c := New(Options{Host: host, Log: slog.New(slog.NewTextHandler(&log, nil))}).carriers[0]
	it := &parcel{Delivery: &bus.Delivery{Subject: "pw.metrics.h1.cpu"}, err: bus.ErrTooLarge}
	for range 1000 {
		c.logAside(it, "too_large")
	}
	c.logged = c.logged.Add(-time.Hour)
	c.logAside(it, "too_large")
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "count=1000") {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
