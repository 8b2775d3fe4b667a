package plugin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pacewire/pacewire/telemetry"
)

// happened returns a batch with a point, two events, and what only looks like one.
func happened() *telemetry.Batch {
	var b telemetry.Batch
	b.Add("fan", telemetry.Fields{"rpm": 0}, nil)
	telemetry.Event{ID: "a/1", Plugin: "test", Type: "fan_stopped", Message: "the fan stands still", From: "OK"}.AppendTo(&b)
	telemetry.Event{Plugin: "test", Type: "hot", Message: "it is hot"}.AppendTo(&b)
	telemetry.Event{Plugin: "other", Type: "hot", Message: "somebody else's"}.AppendTo(&b)
	b.Add(telemetry.EventSeries, telemetry.Fields{"message": "no type"}, telemetry.Tags{"plugin": "test"})
	b.Add(telemetry.EventSeries, telemetry.Fields{"message": 7}, telemetry.Tags{"plugin": "test", "type": "hot"})
	return &b
}

// checkHappened checks that the events of happened were sent as such, and its other points as points.
func checkHappened(t *testing.T, l *fakeLink) {
	t.Helper()
	var said []string
	for _, m := range l.messages() {
		var b telemetry.Batch
		if err := b.DecodeMsgPack(m.body); err != nil {
			t.Fatal(err)
		}
		if m.event == "" {
			if b.Len() != 4 {
				t.Errorf("%d other points, want 4: %s", b.Len(), b.AppendLines(nil))
			}
			continue
		}
		for _, e := range telemetry.Events(&b) {
			said = append(said, strings.Join([]string{m.host, m.event, m.id, e.Type, e.Message, e.From}, "|"))
		}
		for p := range b.Points() {
			if p.Tags["site"] != "north" {
				t.Errorf("an event with the tags %v", p.Tags)
			}
		}
	}
	slices.Sort(said)
	want := []string{
		"web-1|fan_stopped|web-1/test/event/a=2F1|fan_stopped|the fan stands still|OK",
		"web-1|hot||hot|it is hot|",
	}
	if !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
}

// What a collector says has happened is sent as events, however it speaks.
func TestEventsApart(t *testing.T) {
	f := func(name string, send func(s *Session, out *Outlet, b *telemetry.Batch) error) {
		t.Run(name, func(t *testing.T) {
			l, b := &fakeLink{}, happened()
			s, _ := fakeSession(t, l)
			s.once, s.tags = true, []telemetry.Tag{{Key: "site", Value: "north"}}
			err := s.Stream(t.Context(), func(_ context.Context, out *Outlet) error { return send(s, out, b) })
			if err != nil || s.count.pointsOut.Load() != 6 {
				t.Errorf("%d points stored, %v", s.count.pointsOut.Load(), err)
			}
			checkHappened(t, l)
		})
	}
	f("at a tick", func(s *Session, _ *Outlet, b *telemetry.Batch) error {
		s.Emit(b)
		return nil
	})
	f("emitted", func(_ *Session, out *Outlet, b *telemetry.Batch) error { return out.Emit(b) })
	f("posted", func(_ *Session, out *Outlet, b *telemetry.Batch) error { return out.Post(b, 0) })
}

// Who emits an event hears when it is stored, and hears when it will not be; the batch stays as it was.
func TestEventIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLink{hold: true}
		refused := errors.New("refused")
		streams(t, l, func(_ context.Context, out *Outlet) error {
			emit := func(outcome error) {
				var b telemetry.Batch
				telemetry.Event{ID: "1", Plugin: "test", Type: "hot", Message: "it is hot"}.AppendTo(&b)
				heard := make(chan error, 1)
				go func() { heard <- out.Emit(&b) }()
				synctest.Wait()
				select {
				case err := <-heard:
					t.Errorf("heard %v before it was stored", err)
				default:
				}
				l.store(outcome)
				if err := <-heard; !errors.Is(err, outcome) || b.Len() != 1 {
					t.Errorf("heard %v, want %v; %d points are left", err, outcome, b.Len())
				}
			}
			emit(nil)
			emit(refused)
			return nil
		})
	})
}
