package bus_test

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
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
