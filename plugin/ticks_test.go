package plugin

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A wall is a clock on the wall of a bubble, which somebody sets now and then.
type wall struct {
	begins string // what it shows at first, in RFC 3339
	jumps  []jump
	once   sync.Once
	shown  time.Time
	since  time.Time
}

// A jump sets the clock by so much.
type jump struct{ after, by time.Duration }

func (w *wall) now() time.Time {
	w.once.Do(func() {
		w.since = time.Now()
		if w.shown = w.since.Round(0); w.begins != "" {
			w.shown = moment(w.begins)
		}
	})
	passed := time.Since(w.since)
	now := w.shown.Add(passed)
	for _, j := range w.jumps {
		if passed >= j.after {
			now = now.Add(j.by)
		}
	}
	return now
}

func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// A rehearsal is a session that ticks in a bubble.
type rehearsal struct {
	wall
	words telemetry.Schedule
	every time.Duration
	dir   string
	lasts time.Duration
	work  func(n int) // what is done at the n-th tick; nil: nothing

	at     []time.Time // the ticks
	stats  *telemetry.Stats
	status *fakeStatus
	log    bytes.Buffer
}

// run plays r, and checks that time never goes back from tick to tick.
func (r *rehearsal) run(t *testing.T) *rehearsal {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, status := fakeSession(t, &fakeLink{})
		s.Env.Dir, s.work.Schedule, s.work.EveryMS = r.dir, &r.words, r.every.Milliseconds()
		s.log = slog.New(slog.NewTextHandler(&r.log, nil))
		r.wall.now()
		ctx, cancel := context.WithTimeout(t.Context(), r.lasts)
		defer cancel()
		for at := range s.ticks(ctx, r.wall.now) {
			r.at = append(r.at, at)
			if r.work != nil {
				r.work(len(r.at))
			}
		}
		r.stats, r.status = s.count.stats(), status
	})
	return r
}

// expect checks how many ticks there were and how many were missed.
func (r *rehearsal) expect(t *testing.T, ticks, missed int) {
	t.Helper()
	if len(r.at) != ticks || r.stats.Ticks != uint64(ticks) || r.stats.Missed != uint64(missed) {
		t.Errorf("%+v each %v: %d ticks, %d missed; want %d, %d\n%s", r.words, r.every, len(r.at), r.stats.Missed, ticks, missed, r.log.String())
	}
}

// times returns the ticks as the clock on the wall shows them.
func (r *rehearsal) times() string {
	var texts []string
	for _, at := range r.at {
		texts = append(texts, at.Format("15:04:05"))
	}
	return strings.Join(texts, " ")
}

// increase checks that no tick comes before or at the time of another.
func (r *rehearsal) increase(t *testing.T) {
	t.Helper()
	if !slices.IsSortedFunc(r.at, func(a, b time.Time) int { return a.Compare(b.Add(-1)) }) {
		t.Errorf("ticks do not go forward: %v", r.times())
	}
}

// TestIntervalIgnoresTheWall checks that a plain interval gives exactly as many ticks as there is time, whatever the wall
// clock does.
func TestIntervalIgnoresTheWall(t *testing.T) {
	f := func(jumps ...jump) {
		t.Helper()
		r := &rehearsal{wall: wall{jumps: jumps}, every: time.Second, lasts: time.Hour}
		r.run(t).expect(t, 3600, 0)
	}
	f()
	f(jump{30 * time.Minute, time.Hour})
	f(jump{30 * time.Minute, -time.Hour})
	f(jump{time.Minute, -time.Hour}, jump{20 * time.Minute, 5 * time.Hour}, jump{40 * time.Minute, -4 * time.Hour})
}

// TestAlignedTicks checks that aligned ticks come at the times they are named after, and what a jump of the clock makes of them.
func TestAlignedTicks(t *testing.T) {
	f := func(lasts time.Duration, ticks, missed int, jumps ...jump) *rehearsal {
		t.Helper()
		r := &rehearsal{wall: wall{begins: "2026-12-01T10:00:03.5Z", jumps: jumps}, words: telemetry.Schedule{Align: true}, every: 10 * time.Second, lasts: lasts}
		r.run(t).expect(t, ticks, missed)
		for _, at := range r.at {
			if at.Second()%10 != 0 || at.Nanosecond() != 0 {
				t.Errorf("tick at %v", at)
			}
		}
		return r
	}
	if r := f(30*time.Second, 3, 0); r.times() != "10:00:10 10:00:20 10:00:30" {
		t.Errorf("ticks at %s", r.times())
	}
	f(time.Hour, 360, 0).increase(t)
	f(time.Hour, 360, 360, jump{30 * time.Minute, time.Hour}).increase(t)
	f(time.Hour, 180, 0, jump{30 * time.Minute, -time.Hour}).increase(t) // it waits until the clock is there again
	f(2*time.Hour, 360, 0, jump{30 * time.Minute, -time.Hour}).increase(t)
	f(time.Hour, 359, 0, jump{30 * time.Minute, -4 * time.Hour}) // which nobody can wait for
}

// TestCronTicks checks the ticks of a cron: on days on which the clock is set for summer, and when somebody sets it.
func TestCronTicks(t *testing.T) {
	f := func(cron, zone, begins string, lasts time.Duration, ticks, missed int, want string, jumps ...jump) {
		t.Helper()
		r := &rehearsal{wall: wall{begins: begins, jumps: jumps}, words: telemetry.Schedule{Cron: cron, Timezone: zone}, lasts: lasts}
		r.run(t).expect(t, ticks, missed)
		r.increase(t)
		if want != "" && r.times() != want {
			t.Errorf("%s: ticks at %s, want %s", cron, r.times(), want)
		}
	}
	const berlin, york, day = "Europe/Berlin", "America/New_York", 24 * time.Hour
	f("30 2 * * *", berlin, "2027-03-28T00:00:00+01:00", day, 1, 0, "03:30:00")
	f("30 2 * * *", berlin, "2027-10-31T00:00:00+02:00", day, 1, 0, "02:30:00")
	f("30 2 * * *", york, "2027-03-14T00:00:00-05:00", day, 1, 0, "03:30:00")
	f("30 1 * * *", york, "2027-11-07T00:00:00-04:00", day, 1, 0, "01:30:00")
	f("30 2 * * *", york, "2027-11-07T00:00:00-04:00", day, 1, 0, "02:30:00")
	f("0 0 29 2 *", "UTC", "2028-02-28T12:00:00Z", 4*day, 1, 0, "00:00:00")
	f("* * * * * *", "UTC", "2026-12-01T10:00:00Z", time.Hour-1, 3599, 0, "")
	f("0 * * * *", "UTC", "2028-02-01T00:30:00Z", 29*day, 29*24, 0, "")

	const begins = "2026-12-01T10:00:30Z"
	f("* * * * *", "UTC", begins, time.Hour, 60, 60, "", jump{10 * time.Minute, time.Hour})
	f("* * * * *", "UTC", begins, time.Hour, 10, 0, "", jump{10 * time.Minute, -time.Hour})
	f("* * * * *", "UTC", begins, 2*time.Hour, 60, 0, "", jump{10 * time.Minute, -time.Hour})
	f("0 11 * * *", "UTC", begins, 2*time.Hour, 0, 1, "", jump{10 * time.Minute, time.Hour})                // jumped over
	f("0 11 * * *", "UTC", begins, 2*time.Hour, 1, 0, "11:00:20", jump{59 * time.Minute, 50 * time.Second}) // just so
	f("0 11 * * *", "UTC", begins, 3*time.Hour, 1, 0, "11:00:00", jump{90 * time.Minute, -time.Hour})       // never twice
	f("0 11 * * *", "UTC", begins, 2*time.Hour, 1, 0, "11:00:00", jump{40 * time.Minute, -2 * time.Hour}, jump{50 * time.Minute, 2 * time.Hour})
	f("0 3 * * *", "UTC", "2026-12-01T02:00:00Z", 2*time.Hour, 0, 1, "", jump{30 * time.Minute, 5 * time.Hour}) // asleep from 2:30 to 7:30
}

// TestWorkOverruns checks what becomes of ticks that are due while the last one is worked on, and that it is told once.
func TestWorkOverruns(t *testing.T) {
	f := func(words telemetry.Schedule, every time.Duration, ticks, missed int) {
		t.Helper()
		r := &rehearsal{wall: wall{begins: "2026-12-01T10:00:00Z"}, words: words, every: every, lasts: 10*time.Minute - 2*time.Second}
		r.work = func(n int) {
			if n > 2 && n < 6 {
				time.Sleep(25 * time.Second)
			}
		}
		r.run(t).expect(t, ticks, missed)
		if r.stats.Errors["overrun"] != 3 || !strings.Contains(r.stats.LastError.Message, "collection took 25s, and 2 ticks were missed") {
			t.Errorf("errors %v, last %+v", r.stats.Errors, r.stats.LastError)
		}
		for _, line := range []string{"collection takes longer than its interval", "collection keeps up with its interval again"} {
			if strings.Count(r.log.String(), line) != 1 {
				t.Errorf("want one line %q in\n%s", line, r.log.String())
			}
		}
	}
	f(telemetry.Schedule{}, 10*time.Second, 54, 6)
	f(telemetry.Schedule{Align: true}, 10*time.Second, 53, 6)
	f(telemetry.Schedule{Cron: "*/10 * * * * *"}, 0, 53, 6)
}

// TestOverrunOfFailure checks that a call that failed late has one reason, not two.
func TestOverrunOfFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := fakeSession(t, &fakeLink{})
		s.work.EveryMS = 10_000
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range s.Ticks(ctx) {
			if err := s.Note(s.Call(func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				return ctx.Err()
			})); err != nil {
				t.Error(err)
			}
		}
		if st := s.count.stats(); st.Errors["timeout"] != 3 || st.Errors["overrun"] != 0 || st.Missed != 3 || st.LastError.Code != "timeout" {
			t.Errorf("%v, %d missed, %+v", st.Errors, st.Missed, st.LastError)
		}
	})
}

// TestJumpDuringWork checks that a clock that is set while a tick is worked on is no overrun.
func TestJumpDuringWork(t *testing.T) {
	f := func(by time.Duration, ticks, missed int) {
		t.Helper()
		r := &rehearsal{wall: wall{begins: "2026-12-01T10:00:00Z", jumps: []jump{{62 * time.Second, by}}}, lasts: 10*time.Minute + time.Second}
		r.words.Cron = "* * * * *"
		r.work = func(int) { time.Sleep(5 * time.Second) }
		r.run(t).expect(t, ticks, missed)
		if r.increase(t); r.stats.Errors != nil {
			t.Errorf("errors %v", r.stats.Errors)
		}
	}
	f(time.Hour, 10, 60)
	f(-time.Hour, 1, 0)
	f(3*time.Second, 10, 0)
}

// TestWindowOfTicks checks from, until and count, and that a collector with nothing to come says so and still answers.
func TestWindowOfTicks(t *testing.T) {
	f := func(words telemetry.Schedule, every time.Duration, want string, over bool) {
		t.Helper()
		r := &rehearsal{wall: wall{begins: "2026-12-01T10:00:00Z"}, words: words, every: every, lasts: 59 * time.Minute}
		if r.run(t); r.times() != want || slices.Contains(r.status.said, "idle") != over {
			t.Errorf("%+v each %v: ticks at %s, said %v; want %s, over %v", words, every, r.times(), r.status.said, want, over)
		}
	}
	ns := func(clock string) int64 { return moment("2026-12-01T" + clock + "Z").UnixNano() }
	f(telemetry.Schedule{Cron: "*/10 * * * *", From: ns("10:20:00"), Until: ns("10:40:00")}, 0, "10:20:00 10:30:00", true)
	f(telemetry.Schedule{Cron: "*/30 * * * *", From: ns("10:20:00")}, 0, "10:30:00", false)
	f(telemetry.Schedule{Align: true, Count: 3}, 7*time.Minute, "10:05:00 10:12:00 10:19:00", true)
	f(telemetry.Schedule{Align: true, Until: ns("09:00:00")}, 7*time.Minute, "", true)

	r := &rehearsal{wall: wall{begins: "2026-12-01T10:00:00Z"}, every: 10 * time.Minute, lasts: time.Hour}
	r.words = telemetry.Schedule{From: ns("10:20:00"), Until: ns("10:45:00")}
	r.run(t).expect(t, 3, 0)
	if at := r.at[0]; at.Before(moment("2026-12-01T10:20:00Z")) || at.After(moment("2026-12-01T10:20:01Z")) {
		t.Errorf("first tick at %v, want within a second of from", at)
	}
	r = &rehearsal{every: time.Minute, lasts: time.Hour, words: telemetry.Schedule{Count: 5, SplayMS: 30_000}}
	r.run(t).expect(t, 5, 0)
}

// TestRefreshWhenOver checks that nobody waits in vain for a collector that has nothing more to do.
func TestRefreshWhenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := fakeSession(t, &fakeLink{})
		s.refresh = make(chan refreshOrder)
		s.work.EveryMS, s.work.Schedule = 1000, &telemetry.Schedule{Until: 1}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range s.Ticks(ctx) {
				t.Error("a tick after the end")
			}
		}()
		o := refreshOrder{done: make(chan struct{})}
		s.refresh <- o
		<-o.done
		cancel()
		<-done
	})
}

// TestCountOutlivesTheProcess checks that a schedule with a number of ticks goes on where it was, and that one of other words
// begins anew.
func TestCountOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	f := func(words telemetry.Schedule, lasts time.Duration, want int) {
		t.Helper()
		r := &rehearsal{dir: dir, words: words, every: time.Minute, lasts: lasts}
		r.run(t).expect(t, want, 0)
	}
	five := telemetry.Schedule{Count: 5}
	f(five, 2*time.Minute, 2)
	f(five, time.Hour, 3)
	f(five, time.Hour, 0)
	f(telemetry.Schedule{Count: 7}, time.Hour, 2)          // two more
	f(telemetry.Schedule{Count: 7, From: 1}, time.Hour, 7) // other words
	f(telemetry.Schedule{From: 1}, 20*time.Minute, 20)     // no count: nothing is kept
	f(telemetry.Schedule{Count: 7, From: 1}, time.Hour, 0) // which was used up
}

// TestBadSchedule checks that a schedule that the agent should not have sent is told, and never ticks.
func TestBadSchedule(t *testing.T) {
	r := &rehearsal{words: telemetry.Schedule{Cron: "0 0 30 2 *"}, lasts: time.Hour}
	r.run(t).expect(t, 0, 0)
	if !strings.Contains(r.stats.LastError.Message, "never comes") || !slices.Contains(r.status.said, "failing") {
		t.Errorf("%+v, said %v", r.stats.LastError, r.status.said)
	}
}
