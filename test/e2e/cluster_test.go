package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/cluster"
)

// An agent and a hub on a cluster whose leader is killed under load: every point that was acknowledged arrives, once, and the host
// is UP throughout.
func TestOnCluster(t *testing.T) {
	t.Parallel()
	c := bustest.NewCluster(t, cluster.Options{})
	config := "bus: { urls: [" + c.URL() + "] }\n"
	hub := newPlace(t).serve(config+"web: off\n", "hub")
	p := newPlace(t)
	p.write("pacewire.yaml", config+"host: one\ncollect: { in: { use: lines, listen: [http://127.0.0.1:0] } }\n"+
		"process: { mid: { use: tag, from: in, add: { by: mid } } }\npublish: { out: { use: lines, from: mid, path: points.lp } }\n")
	s := p.start("agent", "-c", "pacewire.yaml")
	s.awaitRunning()
	reader := c.Conn(t, "operator")
	s.await(readyWithin, "three servers keep METRICS", func() bool {
		state, err := reader.StreamInfo(t.Context(), bus.StreamMetrics)
		return err == nil && state.Replicas == 3
	})
	contains(t, "host wait", s.do("host", "wait", "one", "--timeout", operates), "UP")
	s.await(readyWithin, "host list shows it", func() bool { return strings.Contains(s.verb("host", "list").out, "UP") })

	w := writeTo(t, s.listening("in"))
	rounds := 1
	if long {
		rounds = 4
	}
	for range rounds {
		leader := c.Leader(t, reader, bus.StreamMetrics)
		w.more(200)
		leader.Kill()
		w.more(200)
		if err := leader.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.await(readyWithin, "all servers keep all", func() bool {
			state, err := reader.StreamInfo(t.Context(), bus.StreamMetrics)
			return err == nil && state.Leader != "" && len(state.Behind) == 0
		})
	}
	acked := w.stop()
	seen := map[string]int{}
	s.await(2*readyWithin, "all that was acknowledged", func() bool {
		clear(seen)
		for _, line := range lines(t, s.path("points.lp")) {
			_, n, _ := strings.Cut(line, " n=")
			n, _, _ = strings.Cut(n, "i ")
			seen[n]++
		}
		return len(seen) >= len(acked)
	})
	lost, doubled := 0, 0
	for _, n := range acked {
		lost += max(0, 1-seen[n])
		doubled += max(0, seen[n]-1)
	}
	t.Logf("%d acknowledged, %d lost, %d doubled; nothing acknowledged for %v at most", len(acked), lost, doubled, w.gap)
	if lost > 0 || doubled > 0 || w.gap < time.Second {
		t.Errorf("%d lost, %d doubled; a gap below a second (%v) would mean INVALID: nobody noticed", lost, doubled, w.gap)
	}
	if list := s.do("events", "--since", "1h", "--type", "down"); strings.Contains(list, "one") {
		t.Errorf("the host was told down:\n%s", list)
	}
	s.drain()
	hub.drain()
}

// serve starts a verb with a config.
func (p place) serve(config, verb string) *system {
	p.t.Helper()
	return p.start(verb, "-c", p.write("pacewire.yaml", config))
}

// A writer posts numbered points, one after the other, and notes which were acknowledged.
type writer struct {
	t      *testing.T
	cancel context.CancelFunc
	parts  sync.WaitGroup

	mu    sync.Mutex
	acked []string
	last  time.Time
	gap   time.Duration
}

func writeTo(t *testing.T, address string) *writer {
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{t: t, cancel: cancel, last: time.Now()}
	url := "http://" + strings.TrimPrefix(address, "http://") + "/write"
	w.parts.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			w.write(ctx, url, fmt.Sprint(i))
		}
	})
	t.Cleanup(func() { w.stop() })
	return w
}

// write posts one point until it is acknowledged or ctx ends. Whether a post without an answer was stored nobody knows, so it is not
// posted again: that would be another point.
func (w *writer) write(ctx context.Context, url, n string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("load n="+n+"i"))
	if err != nil {
		w.t.Error(err)
		return
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		time.Sleep(10 * time.Millisecond) // as it was told
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.acked, w.gap, w.last = append(w.acked, n), max(w.gap, now.Sub(w.last)), now
}

// more waits until n points more are acknowledged.
func (w *writer) more(n int) {
	w.t.Helper()
	count := func() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.acked) }
	want := count() + n
	await(w.t, readyWithin, "points that are acknowledged", func() bool { return count() >= want })
}

func (w *writer) stop() []string {
	w.cancel()
	w.parts.Wait()
	return w.acked
}
