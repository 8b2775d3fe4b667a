package plugin_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// A source that waits for answers, and keeps what is refused, has lost nothing: what is refused is counted as such, and told.
func TestRefusedIsNotDropped(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var stored, refused atomic.Uint64
	asking := collector.DefineStream(collector.StreamSpec[struct{}]{
		Program: "asking", Summary: "Wants to know.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Stream, error) {
			return streamFunc(func(ctx context.Context, out collector.Emitter) error {
				for refused.Load() == 0 { // the second one, unless this machine takes a second for each
					var batch telemetry.Batch
					for range 600 {
						batch.Add("s", telemetry.Fields{"n": 1}, nil)
					}
					switch err := out.Emit(&batch); {
					case err == nil:
						stored.Add(600)
					case errors.Is(err, plugin.ErrFlood):
						refused.Add(600)
					default:
						t.Error(err)
					}
				}
				<-ctx.Done()
				return ctx.Err()
			}), nil
		},
	})
	a.Give("asking", telemetry.Work{MaxRate: 600})
	a.Start(t, asking, "asking")
	plugintest.Until(t, "one is refused", func() bool { return refused.Load() > 0 })
	var h telemetry.Heartbeat
	plugintest.Until(t, "a heartbeat that has counted it", func() bool {
		h = a.Beat(t, "asking")
		return h.Stats.Refused[telemetry.FlagRefused] > 0
	})
	if s := h.Stats; s.PointsOut != stored.Load() || s.Refused["refused_flood"] != refused.Load() || len(s.Dropped) > 0 {
		t.Errorf("stored %d, refused %d; counted %d, %v, and %v as dropped", stored.Load(), refused.Load(), s.PointsOut, s.Refused, s.Dropped)
	}
	plugintest.Until(t, "heartbeats say so", func() bool { return flagged(t, a, "asking", telemetry.FlagRefused) })
	plugintest.Until(t, "an event says so", func() bool {
		types := events(t, b)
		return len(types) == 1 && types[0] == telemetry.FlagRefused
	})
}

// What is sent to the bus again is told.
func TestResentIsTold(t *testing.T) {
	b := bustest.New(t)
	link := bustest.NewLink(t, b.URL)
	a := plugintest.NewAgent(t, link.URL, "web-1")
	var made atomic.Int64
	a.Give("gush", telemetry.Work{EveryMS: 5})
	a.Start(t, gushing(1, 1, &made), "gush")
	until := func(what string, n int64) {
		t.Helper()
		plugintest.Until(t, what, func() bool { return made.Load() > n })
	}
	until("it works", 5)
	if s := a.Beat(t, "gush").Stats; s.LateResent != 0 {
		t.Errorf("%d of %d sent again late", s.LateResent, s.Resent)
	}
	link.Swallow()
	until("some are under way", made.Load()+5)
	link.Cut()
	link.Heal()
	plugintest.Until(t, "they are sent again, and it says so", func() bool {
		s := a.Last("gush").Stats
		return s != nil && s.Resent > 0
	})
}
