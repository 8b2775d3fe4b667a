package schedule

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pacewire/pacewire/telemetry"
)

// made returns the schedule of cpu on web-1.
func made(t *testing.T, words telemetry.Schedule, every time.Duration) *Schedule {
	t.Helper()
	s, err := New(words, every, "web-1", "cpu")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// between returns the times of s from one moment to before another.
func between(s *Schedule, from, to time.Time) (times []time.Time) {
	for due, ok := s.Next(from.Add(-1)); ok && due.Before(to); due, ok = s.Next(due) {
		times = append(times, due)
	}
	return times
}

func TestAlign(t *testing.T) {
	f := func(every time.Duration, after, want string) {
		t.Helper()
		due, ok := made(t, telemetry.Schedule{Align: true}, every).Next(moment(after))
		if !ok || !due.Equal(moment(want)) {
			t.Errorf("each %v after %s: %v, want %s", every, after, due, want)
		}
	}
	f(10*time.Second, "2026-12-01T10:00:00Z", "2026-12-01T10:00:10Z")
	f(10*time.Second, "2026-12-01T10:00:09.999999999Z", "2026-12-01T10:00:10Z")
	f(10*time.Second, "2026-12-01T10:00:09.999999999+05:30", "2026-12-01T10:00:10+05:30")
	f(5*time.Minute, "2026-12-01T10:59:59Z", "2026-12-01T11:00:00Z")
	f(250*time.Millisecond, "2026-12-01T10:00:00.3Z", "2026-12-01T10:00:00.5Z")
	f(24*time.Hour, "2026-12-01T01:30:00+01:00", "2026-12-02T01:00:00+01:00") // midnight of UTC
	f(time.Hour, "2026-10-25T02:10:00+02:00", "2026-10-25T02:00:00+01:00")    // the hour after a clock was set back
}

func TestSplay(t *testing.T) {
	base := made(t, telemetry.Schedule{Cron: "0 * * * *"}, 0)
	seen := map[time.Duration]bool{}
	for i := range 200 {
		host := fmt.Sprintf("web-%d", i)
		s, err := New(telemetry.Schedule{Cron: "0 * * * *", SplayMS: 600_000}, 0, host, "cpu")
		again, _ := New(telemetry.Schedule{Cron: "0 * * * *", SplayMS: 600_000}, 0, host, "cpu")
		if err != nil {
			t.Fatal(err)
		}
		for n, from := 0, moment("2026-12-01T10:05:00Z"); n < 3; n++ {
			due, _ := s.Next(from)
			same, _ := again.Next(from)
			before, _ := base.Next(due.Add(-10 * time.Minute))
			if by := due.Sub(before); by < 0 || by >= 10*time.Minute || !due.Equal(same) {
				t.Errorf("%s: %v later than %v; %v the second time", host, by, before, same)
			} else {
				seen[by] = true
			}
			from = due
		}
	}
	if len(seen) < 190 {
		t.Errorf("200 hosts have %d parts of ten minutes", len(seen))
	}
}

// TestFirst checks where a plain interval begins.
func TestFirst(t *testing.T) {
	f := func(words telemetry.Schedule, every, most time.Duration) {
		t.Helper()
		if s := made(t, words, every); s.Wall() || s.First() < 0 || s.First() >= most || s.Every() != every {
			t.Errorf("%+v each %v: first after %v, want less than %v", words, every, s.First(), most)
		}
	}
	f(telemetry.Schedule{}, 10*time.Second, time.Second)
	f(telemetry.Schedule{}, 10*time.Millisecond, 10*time.Millisecond)
	f(telemetry.Schedule{SplayMS: 8000}, 10*time.Second, 8*time.Second)
	if s := made(t, telemetry.Schedule{SplayMS: 3_600_000}, time.Minute); s.First() < time.Second {
		t.Errorf("first after %v with a splay of an hour", s.First())
	}
}

func TestWindow(t *testing.T) {
	f := func(words telemetry.Schedule, every time.Duration, want ...string) {
		t.Helper()
		words.From, words.Until = at("2026-12-01T10:00:00Z"), at("2026-12-01T10:02:00Z")
		got := between(made(t, words, every), moment("2020-01-01T00:00:00Z"), moment("2030-01-01T00:00:00Z"))
		if len(got) != len(want) {
			t.Fatalf("%+v: %v, want %v", words, got, want)
		}
		for i := range want {
			if !got[i].Equal(moment("2026-12-01T" + want[i] + "Z")) {
				t.Errorf("%+v: %v, want %v", words, got, want)
			}
		}
	}
	f(telemetry.Schedule{Cron: "* * * * *"}, 0, "10:00:00", "10:01:00")
	f(telemetry.Schedule{Cron: "30 * * * * *"}, 0, "10:00:30", "10:01:30")
	f(telemetry.Schedule{Align: true}, 50*time.Second, "10:00:00", "10:00:50", "10:01:40")
	s := made(t, telemetry.Schedule{From: at("2026-12-01T10:00:00Z"), Until: at("2026-12-01T10:02:00Z"), Count: 3}, time.Minute)
	if !s.Opens().Equal(moment("2026-12-01T10:00:00Z")) || s.Count() != 3 {
		t.Errorf("opens %v, count %d", s.Opens(), s.Count())
	}
	if s.Over(moment("2026-12-01T10:01:59Z")) || !s.Over(moment("2026-12-01T10:02:00Z")) {
		t.Error("over at another time than until")
	}
	if s := made(t, telemetry.Schedule{}, time.Minute); s.Over(moment("2226-01-01T00:00:00Z")) || !s.Opens().IsZero() {
		t.Error("a schedule without window has one")
	}
}

func TestPassed(t *testing.T) {
	f := func(words telemetry.Schedule, every, d time.Duration, want int, last string) {
		t.Helper()
		after := moment("2026-12-01T10:00:00Z")
		n, got := made(t, words, every).Passed(after, after.Add(d))
		if n != want || last != "" && !got.Equal(moment(last)) || last == "" && !got.IsZero() {
			t.Errorf("%+v: %d, last %v; want %d, %s", words, n, got, want, last)
		}
	}
	minutes := telemetry.Schedule{Cron: "* * * * *", Timezone: "UTC"}
	f(minutes, 0, time.Minute-1, 0, "")
	f(minutes, 0, time.Minute, 1, "2026-12-01T10:01:00Z")
	f(minutes, 0, time.Hour, 60, "2026-12-01T11:00:00Z")
	f(telemetry.Schedule{Align: true}, time.Second, 24*time.Hour, 86_400, "2026-12-02T10:00:00Z")
	f(minutes, 0, 10*365*24*time.Hour, mostPassed+1, "2036-11-28T10:00:00Z") // years: counted no further
	f(telemetry.Schedule{Cron: "0 0 * * *", Timezone: "UTC"}, 0, time.Hour, 0, "")
}

// TestNext checks what holds for every schedule and every time: Next is after it, grows with it, leaves nothing out, and
// lies in the window.
func TestNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words, every := anySchedule(t)
		s, err := New(words, every, "web-1", "cpu")
		if err != nil {
			return // a window without a time
		}
		a := time.Unix(0, rapid.Int64Range(at("2024-01-01T00:00:00Z"), at("2034-01-01T00:00:00Z")).Draw(t, "after"))
		b := a.Add(time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "later")))
		dueA, okA := s.Next(a)
		dueB, okB := s.Next(b)
		if okB && !okA || okA && okB && dueB.Before(dueA) {
			t.Fatalf("after %v: %v, %v; after %v: %v, %v", a, dueA, okA, b, dueB, okB)
		}
		if !okA {
			return
		}
		if !dueA.After(a) || dueA.Before(s.from) || !s.until.IsZero() && !dueA.Before(s.until) {
			t.Fatalf("after %v: %v; window %v to %v", a, dueA, s.from, s.until)
		}
		if again, ok := s.Next(dueA.Add(-1)); s.Wall() && (!ok || !again.Equal(dueA)) {
			t.Fatalf("due at %v, then at %v", dueA, again)
		}
	})
}

// anySchedule draws a schedule, most of them by cron.
func anySchedule(t *rapid.T) (telemetry.Schedule, time.Duration) {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	words := telemetry.Schedule{SplayMS: rapid.SampledFrom([]int64{0, 0, 1, 90_000, 7_200_000}).Draw(t, "splay")}
	if rapid.Bool().Draw(t, "window") {
		words.From = rapid.Int64Range(at("2024-01-01T00:00:00Z"), at("2033-01-01T00:00:00Z")).Draw(t, "from")
		words.Until = words.From + rapid.Int64Range(1, int64(1000*time.Hour)).Draw(t, "long")
	}
	if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
		words.Align = rapid.Bool().Draw(t, "align")
		return words, time.Duration(rapid.Int64Range(1, 100_000).Draw(t, "every")) * time.Millisecond
	}
	words.Timezone = pick("zone", "", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu")
	words.Cron = fmt.Sprintf("%s%s %s %s %s %s", pick("second", "", "", "30 ", "*/20 "), pick("minute", "0", "30", "*/15", "*", "59"),
		pick("hour", "*", "2", "1-3", "*/2", "0", "23"), pick("day", "*", "*", "1", "29", "31", "L"), pick("month", "*", "*", "2", "3", "10,11"),
		pick("weekday", "*", "*", "7", "MON-FRI", "MON#1"))
	return words, 0
}
