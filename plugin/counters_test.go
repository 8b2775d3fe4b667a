package plugin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPercentiles compares with percentiles of all the values.
func TestPercentiles(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	f := func(n int, value func() time.Duration) {
		t.Helper()
		var l latencies
		var all []uint64
		for range n {
			d := value()
			l.note(d)
			all = append(all, uint64(d.Microseconds()))
		}
		slices.Sort(all)
		calls, p50, p99, most := l.summary()
		if calls != uint64(n) || most != all[n-1] {
			t.Errorf("seed %d: %d calls, max %d; want %d, %d", seed, calls, most, n, all[n-1])
		}
		for _, p := range []struct {
			share float64
			got   uint64
		}{{0.50, p50}, {0.99, p99}} {
			want := all[int(p.share*float64(n))]
			if p.got < want || p.got > want+want/4 {
				t.Errorf("seed %d: of %d values the %v percentile is %d, told is %d", seed, n, 100*p.share, want, p.got)
			}
		}
	}
	f(1, func() time.Duration { return 0 })
	f(1, func() time.Duration { return 3 * time.Microsecond })
	f(2, func() time.Duration { return time.Hour })
	f(1000, func() time.Duration { return time.Duration(r.Int64N(int64(time.Second))) })
	f(1000, func() time.Duration { return time.Duration(r.ExpFloat64() * float64(time.Millisecond)) })
	f(10_000, func() time.Duration { return time.Duration(1) << r.IntN(40) })
	if calls, p50, p99, most := new(latencies).summary(); calls+p50+p99+most != 0 {
		t.Error("nothing was counted")
	}
}

func TestBuckets(t *testing.T) {
	last := -1
	for us := range uint64(1 << 16) {
		i := bucketOf(us)
		if i != last && i != last+1 {
			t.Fatalf("%d us is in bucket %d, after %d", us, i, last)
		}
		if us > boundOf(i) || i > 0 && us <= boundOf(i-1) {
			t.Fatalf("%d us is in bucket %d, which ends at %d", us, i, boundOf(i))
		}
		last = i
	}
	if i := bucketOf(1 << 63); i != bucketCount-1 {
		t.Errorf("the longest time is in bucket %d", i)
	}
}

func TestCounters(t *testing.T) {
	var c counters
	if s := c.stats(); s.LastError != nil || s.Errors != nil || s.Dropped != nil || s.Refused != nil {
		t.Errorf("counts of nothing: %+v", s)
	}
	c.drop("nan", 0)
	c.drop("nan", 2)
	c.drop("nan", 3)
	c.refuse(refusedFlood, 0)
	c.refuse(refusedFlood, 4)
	c.fail("error", errors.New("first"))
	c.fail("timeout", errors.New(strings.Repeat("long ", 100)))
	s := c.stats()
	if s.Dropped["nan"] != 5 || len(s.Dropped) != 1 || s.Refused[refusedFlood] != 4 || s.Errors["error"] != 1 || s.Errors["timeout"] != 1 || s.LastError.Code != "timeout" || len(s.LastError.Message) > 210 {
		t.Errorf("%+v, %+v", s, s.LastError)
	}
	s.Errors["error"] = 9
	if c.stats().Errors["error"] != 1 {
		t.Error("the counts can be changed from outside")
	}
}

func TestPause(t *testing.T) {
	f := func(err error, try int, from, to time.Duration) {
		t.Helper()
		for range 100 {
			if d := pause(verdictOf(err), try); d < from || d > to {
				t.Errorf("pause after try %d of %v: %v, want %v to %v", try, err, d, from, to)
				return
			}
		}
	}
	plain := errors.New("away")
	f(plain, 1, time.Second/2, time.Second)
	f(plain, 2, time.Second, 2*time.Second)
	f(plain, 7, 30*time.Second, time.Minute)
	f(plain, 1_000_000, 30*time.Second, time.Minute)
	f(Denied(plain), 1, 15*time.Second, 30*time.Second)
	f(Denied(plain), 100, 150*time.Second, 5*time.Minute)
	f(After(plain, 7*time.Second), 100, 7*time.Second, 7*time.Second)
	f(fmt.Errorf("wrapped: %w", After(plain, time.Hour)), 1, time.Hour, time.Hour)
}

func TestVerdicts(t *testing.T) {
	plain := errors.New("plain")
	f := func(err error, permanent, denied bool, after time.Duration, class string) {
		t.Helper()
		if IsPermanent(err) != permanent || IsDenied(err) != denied || RetryAfter(err) != after || classOf(err) != class {
			t.Errorf("%v: %v, %v, %v, %s", err, IsPermanent(err), IsDenied(err), RetryAfter(err), classOf(err))
		}
		if !errors.Is(err, plain) {
			t.Errorf("%v does not wrap its cause", err)
		}
	}
	f(plain, false, false, 0, "error")
	f(Permanent(plain), true, false, 0, "permanent")
	f(Denied(plain), false, true, 0, "denied")
	f(After(plain, time.Second), false, false, time.Second, "error")
	f(fmt.Errorf("post: %w", Permanent(plain)), true, false, 0, "permanent")
	f(errors.Join(ErrTooLarge, plain), false, false, 0, "too_large")
	f(fmt.Errorf("%w: %w", context.DeadlineExceeded, plain), false, false, 0, "timeout")
	if class := classOf(&panicError{value: http.ErrAbortHandler}); class != "panic" {
		t.Errorf("a panic is %s", class)
	}
}
