package bus_test

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// What the limits take is told apart from what somebody removes.
func TestDrops(t *testing.T) {
	b := bustest.New(t)
	b.Limit(t, bus.StreamDead, bustest.Limits{MaxBytes: 1 << 20})
	c := b.Conn(t, "operator")
	p, err := bus.NewPublisher(c, bus.PublisherOptions{Host: "h1", Plugin: "sink"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var d bus.Drops
	made := 0
	f := func(letters int, want func(first uint64) uint64) {
		t.Helper()
		for range letters {
			made++
			if err := p.Publish(t.Context(), bus.Message{Subject: bus.DeadSubject("sink"), Body: make([]byte, 16<<10)}); err != nil {
				t.Fatal(err)
			}
		}
		s, err := c.StreamInfo(t.Context(), bus.StreamDead)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.See(s, time.Now()); got != want(s.FirstSeq) {
			t.Errorf("%d letters, the first is %d: %d dropped, want %d", made, s.FirstSeq, got, want(s.FirstSeq))
		}
	}
	none := func(uint64) uint64 { return 0 }
	f(10, none)
	f(10, none)
	f(100, func(first uint64) uint64 { return first - 1 })
	f(0, none)
	if n := d.Due(time.Now(), time.Minute); n < 50 || n > 70 {
		t.Errorf("%d are to be told", n)
	}
	f(1, func(uint64) uint64 { return 1 })
	if n := d.Due(time.Now(), time.Minute); n != 0 {
		t.Errorf("%d are to be told at once", n)
	}
	if n := d.Due(time.Now().Add(time.Hour), time.Minute); n != 1 {
		t.Errorf("%d are to be told", n)
	}
	s, err := c.StreamInfo(t.Context(), bus.StreamDead)
	if err != nil {
		t.Fatal(err)
	}
	for seq := s.FirstSeq; seq <= s.LastSeq-5; seq++ {
		if err := c.DropLetter(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	f(0, none) // by hand
}

// What is dropped for its age is dropped too, and a stream that is made anew has dropped nothing.
func TestDropsByAge(t *testing.T) {
	now := time.Now()
	was := bus.StreamState{Made: now, Messages: 10, Bytes: 100, MaxBytes: 1 << 30, MaxAge: time.Hour, FirstSeq: 1, LastSeq: 10, FirstTime: now}
	f := func(s bus.StreamState, after time.Duration, want uint64) {
		t.Helper()
		var d bus.Drops
		d.See(was, now)
		if got := d.See(s, now.Add(after)); got != want {
			t.Errorf("%+v after %v: %d, want %d", s, after, got, want)
		}
	}
	s := was
	s.Messages, s.FirstSeq = 6, 5
	f(s, time.Hour, 4)
	f(s, time.Minute, 0)
	s.Messages, s.LastSeq = 8, 12
	f(s, time.Hour, 4)
	s.Made = now.Add(time.Second)
	f(s, time.Hour, 0)
	f(bus.StreamState{Made: now}, time.Hour, 0)
}
