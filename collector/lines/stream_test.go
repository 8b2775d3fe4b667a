package lines

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// text returns n lines, the numbers from from on.
func text(from, n int) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&b, "cpu,cpu=cpu%d,host=web-%02d n=%di,idle=%d.5,state=\"s%d\" %d\n", i%16, i%20, i, i%100, i, int64(1e18)+int64(i))
	}
	return b.String()
}

// check fails unless points are the lines of text, in their order.
func check(t testing.TB, points []telemetry.Point, from int) {
	t.Helper()
	for k, p := range points {
		i := from + k
		got := fmt.Sprint(p.Series, p.Tags, p.Fields["n"], p.Fields["state"], p.Time.UnixNano())
		want := fmt.Sprint("cpu", telemetry.Tags{"cpu": fmt.Sprintf("cpu%d", i%16), "host": fmt.Sprintf("web-%02d", i%20)}, i, fmt.Sprintf("s%d", i), int64(1e18)+int64(i))
		if got != want {
			t.Fatalf("point %d: %s, want %s", i, got, want)
		}
	}
}

func TestTransports(t *testing.T) {
	f := func(listen string, n int) {
		t.Helper()
		r := start(t, config(listen))
		c := r.dial()
		r.send(c, text(0, n))
		check(t, r.take(t, n), 0)
		r.send(c, text(n, 1))
		check(t, r.take(t, 1), n)
	}
	f("tcp://127.0.0.1:0", 20000)
	f("unix://"+filepath.Join(t.TempDir(), "s"), 20000)
	f("udp://127.0.0.1:0", 100)
}

// A line comes whole however its bytes come.
func TestSplitLines(t *testing.T) {
	cfg := config("tcp://127.0.0.1:0")
	cfg.Flush = 0
	r := start(t, cfg)
	c := r.dial()
	lines := text(0, 2)
	for at := range lines {
		r.send(c, lines[:at])
		time.Sleep(50 * time.Microsecond) // so that the pieces do come apart
		r.send(c, lines[at:])
	}
	points := r.take(t, 2*len(lines))
	for k := 0; k < len(points); k += 2 {
		check(t, points[k:k+2], 0)
	}
}

func TestLatency(t *testing.T) {
	r := start(t, config("tcp://127.0.0.1:0"))
	c := r.dial()
	begin := time.Now()
	r.send(c, text(0, 1))
	r.take(t, 1)
	t.Logf("%v", time.Since(begin))
}
