package uplink

import (
	"testing"
	"time"
)

// A link of some rate and delay, which always has as much on the way as the pace lets it.
func TestPace(t *testing.T) {
	f := func(rate float64, delay time.Duration, want, most int) {
		t.Helper()
		const size = 8 << 10
		p := newPace(8 << 20)
		now := time.Unix(0, 0)
		free := now // when the link has sent what was put on it
		type message struct{ sent, back time.Time }
		var way []message
		for range 20_000 {
			for len(way) == 0 || len(way)*size < p.now {
				if free.Before(now) {
					free = now
				}
				free = free.Add(time.Duration(size / rate * float64(time.Second)))
				way = append(way, message{now, free.Add(delay)})
			}
			now = way[0].back
			p.answered(size, way[0].sent, now)
			way = way[1:]
		}
		if p.now < want || p.now > most {
			t.Errorf("at %.0f bytes/s and %v: %d bytes on the way, want %d to %d", rate, delay, p.now, want, most)
		}
	}
	f(1e9, time.Millisecond, 8<<20, 8<<20)
	f(10e6, 50*time.Millisecond, 2<<20, 8<<20)
	f(1e6, 20*time.Millisecond, 256<<10, 1600<<10)
	f(100e3, 100*time.Millisecond, 32<<10, 160<<10)
	f(10e3, 100*time.Millisecond, paceLeast, paceLeast+8<<10)
}
