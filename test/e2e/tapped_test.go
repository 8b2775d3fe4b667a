package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A point is one as tap -f json shows it.
type point struct {
	Series string
	Time   time.Time
	Tags   map[string]string
	Fields map[string]any
	Types  map[string]string
}

// tapped are the points that a tap has shown so far.
func tapped(t testing.TB, tap *system) (list []point) {
	t.Helper()
	for _, line := range lines(t, tap.out) {
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		var p point
		if err := d.Decode(&p); err != nil {
			t.Fatalf("tap showed %q: %v", line, err)
		}
		list = append(list, p)
	}
	return list
}

// identity tells points apart: series, tags, time in nanoseconds.
func identity(series string, tags map[string]string, ns int64) string {
	return fmt.Sprintf("%s%v %d", series, slices.Collect(func(yield func(string) bool) {
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			if tags[key] != "" && !yield(key+"="+tags[key]) {
				return
			}
		}
	}), ns)
}

// float reads a number that one of both sides has written.
func float(v json.Number) float64 {
	f, _ := strconv.ParseFloat(v.String(), 64)
	return f
}

// A store is points by identity, each with its fields. A value is of the type that the store has for it: int64, float64, bool
// or string, or about, a float that is not kept whole.
type store map[string]map[string]any

// about is a float of a store that keeps a dozen digits of it.
type about float64

func same(a, b any) bool {
	x, ok1 := a.(about)
	y, ok2 := b.(about)
	if ok1 && ok2 {
		return math.Abs(float64(x-y)) <= 1e-11*math.Abs(float64(y))
	}
	return a == b
}

// missing compares points with what a store should have of them, and describes the first difference.
func (s store) missing(want store) (n int, first string) {
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if maps.EqualFunc(s[id], want[id], same) {
			continue
		}
		if n++; n == 1 {
			first = fmt.Sprintf("%s\n is %#v\nwant %#v", id, s[id], want[id])
		}
	}
	return n, first
}

// typed are points with every type of a field, and a time that is not whole in any unit.
func typed(at time.Time) string {
	ns := at.UnixNano()/1000*1000 + 1
	return fmt.Sprintf("probe,k=v\\ 1,z=é f=0.1,g=-1.5e300,i=-9223372036854775808i,u=9223372036854775807u,t=true,n=false,s=\"a \\\"b\\\" é\" %d\n", ns) +
		fmt.Sprintf("probe,k=w f=3,i=7i %d\n", ns+1)
}

// outage brings host and sent points to a server that is away for a while, and compares what tap showed with what is there
// afterwards. expect is what the server should have of them, read what it has.
func outage(t *testing.T, publisher string, server interface {
	Start()
	Stop()
}, expect func([]point) store, read func(want store) store) {
	t.Helper()
	s := up(t, "every: 1s\ncollect: { host: { skip: [pressure] } }\npublish: { out: { from: [host, send], "+publisher+" } }\n")
	tap := s.tap("host", "send", "-f", "json")
	arrived := func(limit time.Duration) int {
		t.Helper()
		want := expect(tapped(t, tap))
		n, first := len(want), ""
		for end := time.Now().Add(limit); n > 0 && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			n, first = read(want).missing(want)
		}
		if n > 0 {
			t.Errorf("of %d points that tap showed %d are not on the server as they were, the first\n%s", len(want), n, first)
		}
		return len(want)
	}

	s.send(typed(time.Now()))
	s.await(readyWithin, "tap shows points of host and send", func() bool { return len(series(lineNames(tapped(t, tap)))) == len(basics) && sent(tapped(t, tap)) == 2 })
	before := arrived(readyWithin)

	server.Stop()
	away := span(6*time.Second, time.Minute)
	hold(t, away/2)
	s.send(typed(time.Now()))
	hold(t, away/2)
	server.Start()
	after := arrived(2 * readyWithin) // whom the server has failed for a minute waits up to a minute
	t.Logf("%d points before, %d after %v without the server", before, after, away)
	if after-before < int(away/time.Second) {
		t.Errorf("only %d points came meanwhile: the outage shows nothing", after-before)
	}
	if p := s.awaitPlugin("out", readyWithin, "works", func(p plugin) bool { return p.State == "running" }); p.Restarts > 0 {
		t.Errorf("the publisher is %+v", p)
	}
	s.drain()
}

// sent counts the points of typed.
func sent(points []point) (n int) {
	for _, p := range points {
		if p.Series == "probe" {
			n++
		}
	}
	return n
}

func lineNames(points []point) (names []string) {
	for _, p := range points {
		names = append(names, p.Series+",")
	}
	return names
}
