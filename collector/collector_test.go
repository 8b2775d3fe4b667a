package collector_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

type collectFunc func(ctx context.Context, out *telemetry.Batch) error

func (f collectFunc) Collect(ctx context.Context, out *telemetry.Batch) error { return f(ctx, out) }

// TestHalfAnAnswer checks that the points added before something went wrong are sent, whatever it was, and that it is told.
func TestHalfAnAnswer(t *testing.T) {
	f := func(says string, fails func() error) {
		t.Helper()
		d := collector.Define(collector.Spec[struct{}]{
			Program: "half", Summary: "Half an answer.",
			New: func(context.Context, struct{}, plugin.Env) (collector.Collector, error) {
				return collectFunc(func(_ context.Context, out *telemetry.Batch) error {
					out.Add("cpu", telemetry.Fields{"usage": 1}, nil)
					return fails()
				}), nil
			},
		})
		var stdout, stderr strings.Builder
		status := plugin.Run(t.Context(), d, []string{"--once"}, strings.NewReader(""), &stdout, &stderr, nil)
		if !strings.Contains(stdout.String(), `"usage":1`) || !strings.Contains(stderr.String(), says) || (status != 0) != (says != "") {
			t.Errorf("status %d, sent %q, said %q; want cpu sent and %q said", status, stdout.String(), stderr.String(), says)
		}
	}
	f("", func() error { return nil })
	f("disk: away", func() error { return errors.New("disk: away") })
	f("disk: never", func() error { return plugin.Permanent(errors.New("disk: never")) })
	f("disk: denied", func() error { return plugin.Denied(errors.New("disk: denied")) })
	f("panic: disk", func() error { panic("disk") })
	f("", func() error { return plugin.ErrNoData })
}

// A patrol goes round by itself.
type patrol struct{}

func (patrol) Stream(context.Context, collector.Emitter) error {
	return errors.New("it was not to go on")
}

func (patrol) Round(_ context.Context, out collector.Emitter) error {
	b := out.Batch()
	b.Add("door", telemetry.Fields{"open": false}, nil)
	return errors.Join(out.Post(b, time.Hour), errors.New("one door was not found"))
}

// TestRound checks that what goes round by itself goes round once for a person, and that all of it is sent.
func TestRound(t *testing.T) {
	d := collector.DefineRounds(collector.RoundsSpec[struct{}]{
		Program: "patrol", Summary: "Goes round.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Rounds, error) { return patrol{}, nil },
	})
	var stdout, stderr strings.Builder
	status := plugin.Run(t.Context(), d, []string{"--once"}, strings.NewReader(""), &stdout, &stderr, nil)
	if status != 1 || !strings.Contains(stdout.String(), `"open":false`) || !strings.Contains(stderr.String(), "one door was not found") || d.Endless {
		t.Errorf("status %d, sent %q, said %q", status, stdout.String(), stderr.String())
	}
}
