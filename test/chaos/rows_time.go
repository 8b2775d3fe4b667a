package main

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"time"
)

// rowsOfTime are the faults of clocks.
func rowsOfTime() []row {
	return []row{
		{name: "F18", title: "payload times 1970, 2106, an hour off, negative, at the ends of int64 and outside", run: strangeTimes,
			promise: "all that an int64 holds arrives as it was; the rest is refused by name. The wall clock itself is not moved: that would be this machine's"},
	}
}

// F18
func strangeTimes(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(time.Second)
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	now, years := time.Now().UnixNano(), func(y int) int64 { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() }
	for name, base := range map[string]int64{
		"year1970": 0, "year2106": years(2106), "year1938": years(1938), "ahead": now + int64(time.Hour), "behind": now - int64(time.Hour),
		"last": math.MaxInt64 - int64(time.Second), "first": math.MinInt64 + int64(time.Second),
	} {
		from := t.oracle.SourceAt(name, t.nextBoot(), base)
		if err := t.source.post(t.ctx, from.Issue(100)); err != nil {
			t.errorf("points of %s are refused: %v", name, err)
			continue
		}
		t.bite("points of %s are acknowledged", name)
	}
	t.refusesTime("99999999999999999999")
	t.refusesTime("-99999999999999999999")
	t.hold(time.Second)
	t.undisturbed(before)
	t.settle()
}

// refusesTime posts a point whose time no int64 holds: it has to be refused as that.
func (t *trial) refusesTime(time string) {
	resp, err := http.Post(t.source.url+"/write", "text/plain", strings.NewReader("chaos v=1 "+time+"\n"))
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusBadRequest {
			return
		}
		err = errors.New(resp.Status)
	}
	t.errorf("a point of time %s: %v, want 400", time, err)
}
