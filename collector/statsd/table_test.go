package statsd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// An emitter keeps what it is given.
type emitter struct {
	mu     sync.Mutex
	lines  []string // points, as line protocol
	points []telemetry.Point
	drops  map[string]int
}

func (e *emitter) Emit(b *telemetry.Batch) error { return e.Post(b, 0) }

func (e *emitter) Post(b *telemetry.Batch, _ time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	b.SetHost("") // which the subject of a message tells, and no tag
	for line := range strings.Lines(string(b.AppendLines(nil))) {
		e.lines = append(e.lines, strings.TrimSuffix(line, "\n"))
	}
	for p := range b.Points() {
		e.points = append(e.points, p)
	}
	b.Drops().Each(func(c telemetry.Code, n int) { e.drop(c.String(), n) })
	return nil
}

func (e *emitter) Batch() *telemetry.Batch { return new(telemetry.Batch) }

func (e *emitter) Drop(reason string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drop(reason, n)
}

func (e *emitter) drop(reason string, n int) {
	if e.drops == nil {
		e.drops = map[string]int{}
	}
	e.drops[reason] += n
}

// dropped returns how many were dropped for a reason.
func (e *emitter) dropped(reason string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.drops[reason]
}

// take returns the points that have come, in order of their text.
func (e *emitter) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := slices.Sorted(slices.Values(e.lines))
	e.lines, e.points = nil, nil
	return all
}

// at is the time of flushes in tests.
var at = time.Unix(1_700_000_000, 0)

func testTable() *table { return newTable("h", "statsd", 1000, "") }

// flushed returns the points of a flush, without their times where these are that of the flush, and what was lost.
func flushed(t *table, at time.Time) (points []string, lost string) {
	var e emitter
	if b := t.takeDirect(); b != nil {
		_ = e.Post(b, 0)
	}
	t.flush(at, time.Hour, &e)
	for _, line := range e.take() {
		points = append(points, strings.TrimSuffix(line, fmt.Sprintf(" %d", at.UnixNano())))
	}
	for r, n := range t.losses.counts {
		if n > 0 {
			e.drop(reason(r).String(), n)
		}
	}
	t.losses.reset()
	for _, name := range slices.Sorted(maps.Keys(e.drops)) {
		lost += fmt.Sprintf(" %s=%d", name, e.drops[name])
	}
	return points, strings.TrimSpace(lost)
}

func TestLines(t *testing.T) {
	f := func(text, lost string, want ...string) {
		t.Helper()
		table := testTable()
		table.take([]byte(text))
		got, refused := flushed(table, at)
		if !slices.Equal(got, want) || refused != lost {
			t.Errorf("%q: %q, lost %q; want %q, lost %q", text, got, refused, want, lost)
		}
	}
	// counters
	f("c:1|c", "", "c total=1,value=1")
	f("c:1|c\nc:2|c\n", "", "c total=3,value=3")
	f("c:2|c|@0.1", "", "c total=20,value=20")
	f("c:-2.5|c\r\n\r\n", "", "c total=-2.5,value=-2.5")
	f("c:1e3|c", "", "c total=1000,value=1000")
	f("c:1|c|@0", "bad_rate=1")
	f("c:1|c|@1.1", "bad_rate=1")
	f("c:1|c|@x", "bad_rate=1")
	f("c:1|c|@5e-324", "bad_rate=1")
	f("c:1e308|c|@0.1", "not_finite=1")
	f("c:1e308|c\nc:1e308|c", "not_finite=1", "c total=1e+308,value=1e+308")

	// gauges
	f("g:5|g", "", "g value=5")
	f("g:5|g\ng:7|g", "", "g value=7")
	f("g:-5|g", "", "g value=-5")
	f("g:0|g\ng:-5|g", "", "g value=-5")
	f("g:10|g\ng:-5|g", "", "g value=5")
	f("g:10|g\ng:+5.5|g", "", "g value=15.5")
	f("g:1e308|g\ng:+1e308|g", "not_finite=1", "g value=1e+308")

	// timers
	f("t:3|ms", "", "t count=1,max=3,mean=3,min=3,p50=3,p90=3,p99=3,sum=3")
	f("t:1|ms\nt:2|h\nt:3|d", "", "t count=3,max=3,mean=2,min=1,p50=2,p90=3,p99=3,sum=6")
	f("t:4|ms|@0.5\nt:1|ms", "", "t count=3,max=4,mean=3,min=1,p50=4,p90=4,p99=4,sum=9")
	f("t:1e308|ms|@0.1", "not_finite=1")

	// sets
	f("s:a|s\ns:b|s\ns:a|s", "", "s value=2")
	f("s:fe80::1|s\ns:fe80::2|s", "", "s value=2")

	// packed values
	f("t:1:2:3|ms", "", "t count=3,max=3,mean=2,min=1,p50=2,p90=3,p99=3,sum=6")
	f("c:1:2|c|@0.5|#a:b", "", "c,a=b total=6,value=6")
	f("n:1|c:2|c", "", "n total=3,value=3")
	f("n:1|c|@0.1:2|c:+3|g", "", "n total=12,value=12", "n value=3")
	f("g:1:-2:+4|g", "", "g value=3")
	f("c:1:x:3:|c", "bad_value=2", "c total=4,value=4")

	// tags, as they are written
	f("c:1|c|#a:b,c:d", "", "c,a=b,c=d total=1,value=1")
	f("c:1|c|#c:d,a:b\nc:1|c|#a:b,c:d\nc,a=b,c=d:1|c\nc;c=d;a=b:1|c\nc#a=b,c=d:1|c\nc[a=b,c=d]:1|c\nc,a=b:1|c|#c=d", "", "c,a=b,c=d total=7,value=7")
	f("c[a=b].x:1|c", "", "c.x,a=b total=1,value=1")
	f("c:1|c|#on,empty:,:none,,url=http://x:80", "", "c,on=true,url=http://x:80 total=1,value=1")
	f("c:1|c|#a:1,a:2", "", "c,a=2 total=1,value=1")
	f("c:1|c|c:4f2a", "", "c,container=4f2a total=1,value=1")
	f("c:1|c|@0.5|#a:b|c:4f2a|e:it-false|card:low", "", "c,a=b,container=4f2a total=2,value=2")
	f("c:1|c|#host:web-2", "", "c,host=web-2 total=1,value=1")
	f("c:1|c|#"+strings.Repeat("x", 2000), "", "c,"+strings.Repeat("x", 255)+"=true total=1,value=1")
	f("c:1|c|#"+many("k%d:v,", 61), "bad_tags=1")

	// times
	f("c:1|c|T1600000000\nc:2|c|@0.5|T1600000000", "", "c value=1 1600000000000000000", "c value=4 1600000000000000000")
	f("g:-5|g|T1600000000", "", "g value=-5 1600000000000000000")
	f("t:1|ms|T1600000000", "", "t count=1,max=1,mean=1,min=1,p50=1,p90=1,p99=1,sum=1")
	f("c:1|c|T\nc:1|c|T0\nc:1|c|T-1\nc:1|c|T9223372037\nc:1|c|T1.5", "bad_time=5")
	f("c:1|c|T9223372036", "", "c value=1 9223372036000000000")

	// nonsense
	f("c\n:1|c\n", "bad_name=2")
	f(strings.Repeat("n", 256)+":1|c", "bad_name=1")
	f(",a=b:1|c", "bad_name=1")
	f("c:1\nc:1|\nc:1|x\nc:1|cc\nc:1|c|x", "bad_type=5")
	f("c:|c\nc:x|c\nc:0x1p3|c\nc:1_000|c\nc:+|c\nc:1.2.3|c\nc: 1|c", "bad_value=7")
	f("c:NaN|c\nc:-inf|c\nc:+Infinity|c\nc:1e999|c\ng:nan|g\nt:inf|ms", "not_finite=6")
	f("\x00\xff\xfe\nc\xff:1|c\n", "bad_name=1", "c\ufffd total=1,value=1")
}

// many returns text made n times with rising numbers.
func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
