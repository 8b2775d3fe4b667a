package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// An emitter takes batches as the bus does.
type emitter struct {
	blocked sync.Mutex // held: the bus takes nothing

	mu      sync.Mutex
	points  []telemetry.Point
	batches int
	drops   map[string]int
	refusal error
}

// Emit keeps what a reader of the message would see.
func (e *emitter) Emit(b *telemetry.Batch) error {
	e.blocked.Lock()
	defer e.blocked.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refusal != nil {
		return e.refusal
	}
	e.batches++
	var got telemetry.Batch
	for f := range b.Frames(telemetry.TargetFrame, func() []byte { return nil }) {
		if f.Err != nil {
			return f.Err
		}
		if err := got.DecodeMsgPack(f.Body); err != nil {
			return err
		}
		for p := range got.Points() {
			for key, text := range p.Tags { // they look into the message
				p.Tags[strings.Clone(key)] = strings.Clone(text)
			}
			e.points = append(e.points, p)
		}
	}
	b.Drops().Each(func(c telemetry.Code, n int) { e.drops[c.String()] += n })
	return nil
}

func (e *emitter) Post(*telemetry.Batch, time.Duration) error { panic("a request wants an answer") }

func (e *emitter) Batch() *telemetry.Batch { return &telemetry.Batch{} }

func (e *emitter) Drop(reason string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drops[reason] += n
}

// refuse makes the bus refuse what comes; nil ends that.
func (e *emitter) refuse(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refusal = err
}

// count returns how many points have come.
func (e *emitter) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.points)
}

// take returns the points that have come and forgets them.
func (e *emitter) take() []telemetry.Point {
	e.mu.Lock()
	defer e.mu.Unlock()
	points := e.points
	e.points = nil
	return points
}

// dropped returns the reasons for which something was left out, with counts, and forgets them.
func (e *emitter) dropped() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	drops := maps.Clone(e.drops)
	clear(e.drops)
	return drops
}

// patience is long enough for any machine.
const patience = time.Minute

// until polls until ok, and fails the test when that takes too long.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// A rig is a listener at work.
type rig struct {
	*emitter
	t      testing.TB
	l      *listener
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}
}

func env(t testing.TB) plugin.Env {
	return plugin.Env{Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})), Host: "h", Name: "otlp", Dir: t.TempDir()}
}

// start starts a listener, which ends with the test. change may be nil.
func start(t testing.TB, change func(*Config), hurry ...time.Duration) *rig {
	t.Helper()
	cfg := defaults()
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, env(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{&emitter{drops: map[string]int{}}, t, s.(*listener), &http.Client{Transport: &http.Transport{}}, cancel, make(chan struct{})}
	if len(hurry) > 0 {
		r.l.stall, r.l.giveUp = hurry[0], hurry[1]
	}
	go func() {
		defer close(r.done)
		if err := s.Stream(ctx, r.emitter); err != nil {
			t.Errorf("stream: %v", err)
		}
	}()
	t.Cleanup(r.stop)
	return r
}

// stop ends the listener and waits for that.
func (r *rig) stop() {
	r.t.Helper()
	r.client.CloseIdleConnections()
	r.cancel()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("stream does not end")
	}
	if err := r.l.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
}

// A reply is the answer to a request.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; headers are pairs.
func (r *rig) ask(method, path, body string, headers ...string) reply {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.l.sockets[0].Addr().String()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// push sends a body of metrics.
func (r *rig) push(f form, body string, headers ...string) reply {
	r.t.Helper()
	return r.ask(http.MethodPost, "/v1/metrics", body, append([]string{"Content-Type", string(f)}, headers...)...)
}

func zip(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}
