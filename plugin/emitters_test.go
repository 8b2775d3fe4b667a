package plugin

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pacewire/pacewire/telemetry"
)

// TestEmitLeavesTheBatchAlone checks that after Emit a batch holds what it held, and nothing of others.
func TestEmitLeavesTheBatchAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLink{token: make(chan struct{})}
		s, _ := fakeSession(t, &l.fakeLink)
		s.link, s.once = l, true
		_ = s.Stream(t.Context(), func(_ context.Context, out *Outlet) error {
			var wg sync.WaitGroup
			first := words(1)
			wg.Go(func() { _ = out.Emit(first) })
			synctest.Wait()
			a, b := words(1), words(1)
			wg.Go(func() { _ = out.Emit(a) })
			synctest.Wait()
			wg.Go(func() { _ = out.Emit(b) })
			synctest.Wait()
			close(l.token)
			wg.Wait()
			if a.Len() != 1 {
				t.Errorf("the caller's batch has %d points after Emit, had 1", a.Len())
			}
			return nil
		})
	})
}

// TestEmitAgainRepeatsNobodyElse checks that an emit tried again after an error sends its own points only.
func TestEmitAgainRepeatsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLink{token: make(chan struct{})}
		l.hold = true
		s, _ := fakeSession(t, &l.fakeLink)
		s.link, s.once = l, true
		_ = s.Stream(t.Context(), func(_ context.Context, out *Outlet) error {
			var wg sync.WaitGroup
			first := words(1)
			wg.Go(func() { _ = out.Emit(first) })
			synctest.Wait()
			emitTwice := func(b *telemetry.Batch) {
				if err := out.Emit(b); err != nil {
					_ = out.Emit(b)
				}
			}
			wg.Go(func() { emitTwice(words(1)) })
			synctest.Wait()
			wg.Go(func() { emitTwice(words(1)) })
			synctest.Wait()
			close(l.token)
			synctest.Wait()
			l.store(errors.New("refused"))
			synctest.Wait()
			l.mu.Lock()
			l.points = 0
			l.mu.Unlock()
			l.store(nil)
			for range 10 {
				synctest.Wait()
				l.store(nil)
			}
			wg.Wait()
			return nil
		})
		total := 0
		for _, m := range l.messages() {
			var b telemetry.Batch
			_ = b.DecodeMsgPack(m.body)
			total += b.Len()
			t.Logf("message of %d points", b.Len())
		}
		if total != 1+2+2 {
			t.Errorf("%d points sent; 3 first tries and 2 second ones are 5", total)
		}
	})
}

// TestLargePointIsSetAside checks that a point too large for a message is not acknowledged and forgotten.
func TestLargePointIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fate{}
		var b telemetry.Batch
		fields := telemetry.Fields{}
		for i := range 6 {
			fields[string(rune('a'+i))] = strings.Repeat("x", 60000)
		}
		b.Add("s", fields, nil)
		src := &fakeSource{ends: true, waiting: []*delivery{{host: "h", plugin: "p", id: "id", body: b.AppendMsgPack(nil), seq: 1, deliveries: 1, settler: f}}}
		l := &fakeLink{inputs: map[string]*fakeSource{"in": src}}
		s, _ := fakeSession(t, l)
		_ = s.Transform(t.Context(), func(_ context.Context, in, out *telemetry.Batch) error {
			for g := range in.Groups() {
				out.Take(g)
			}
			return nil
		})
		acked, _, buried := f.counts()
		t.Logf("acked %d buried %d sent %d body %d", acked, buried, len(l.messages()), len(b.AppendMsgPack(nil)))
		if acked == 1 && buried == 0 && len(l.messages()) == 0 {
			t.Error("an acknowledged point is gone")
		}
	})
}
