package bus_test

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

func TestAfter(t *testing.T) {
	now := time.Now()
	s := bus.StreamState{Messages: 1000, Bytes: 800, MaxBytes: 1000, MaxAge: 10 * time.Hour, FirstSeq: 501, LastSeq: 1500, FirstTime: now.Add(-2 * time.Hour)}
	f := func(place, bytes uint64, share float64) {
		t.Helper()
		if got, of := s.After(place, now); got != bytes || of < share-0.001 || of > share+0.001 {
			t.Errorf("after %d: %d bytes, %.3f; want %d, %.3f", place, got, of, bytes, share)
		}
	}
	f(600, 720, 0.72)
	f(0, 800, 0.8) // what is gone is no more
	f(1500, 0, 0)
	f(1600, 0, 0) // younger than what is known of the stream
	s.MaxBytes = 0
	f(1000, 400, 0.1) // by time alone
	s.FirstTime = now.Add(-9 * time.Hour)
	f(500, 800, 0.9)
	s = bus.StreamState{LastSeq: 7, FirstSeq: 8, MaxBytes: 10}
	f(3, 0, 0) // an empty one
}

func TestLags(t *testing.T) {
	f := func(share float64, before, want bool) {
		t.Helper()
		if got := bus.Lags(share, before); got != want {
			t.Errorf("Lags(%v, %v) = %v", share, before, got)
		}
	}
	f(0.5, false, false)
	f(0.51, false, true)
	f(0.45, true, true)
	f(0.4, true, false)
}

// What is settled and old makes nothing old that is behind it.
func TestOldest(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "operator")
	p, err := bus.NewPublisher(c, bus.PublisherOptions{Host: "h1", Plugin: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, plugin := range []string{"cpu", "cpu", "mem"} {
		if err := p.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject("h1", plugin), Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.StreamInfo(t.Context(), bus.StreamMetrics)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	now := time.Now()
	s.MaxAge, s.FirstTime = 7*day, now.Add(-6*day)
	o := bus.Oldest{Stream: bus.StreamMetrics}
	f := func(place uint64, now time.Time, want float64) {
		t.Helper()
		if got, err := o.Share(t.Context(), c, s, place, now); err != nil || got < want-0.01 || got > want+0.01 {
			t.Errorf("behind %d: %.3f, %v; want %.3f", place, got, err, want)
		}
	}
	if _, share := s.After(1, now); !bus.Lags(share, false) {
		t.Errorf("behind 1 all is young, and it is no more than %.2f by the oldest", share)
	}
	f(1, now, 0)
	f(1, now.Add(4*day), 4./7)
	f(2, now.Add(4*day), 4./7)
	o.Filters = []string{bus.MetricsFilter("cpu")}
	f(1, now, 0)
	f(3, now, 0) // read meanwhile
	f(2, now.Add(4*day), 0)
	s.MaxBytes = int64(s.Bytes)
	f(0, now, 1) // by its bytes
	s.MaxAge, s.MaxBytes = 0, 0
	f(0, now.Add(4*day), 0)
	c.Close()
	s.MaxAge = 7 * day
	if _, err := o.Share(t.Context(), c, s, 0, now); err == nil {
		t.Error("nobody was asked, and there is an answer")
	}
}
