package processortest_test

import (
	"context"
	"testing"
	"time"

	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/processor/processortest"
	"github.com/pacewire/pacewire/telemetry"
)

func point(n int) telemetry.Point {
	return telemetry.Point{Series: "s", Time: time.Unix(int64(n), 0), Fields: telemetry.Fields{"n": n}}
}

func TestProcess(t *testing.T) {
	even := processor.Func(func(_ context.Context, in, out *telemetry.Batch) error {
		for g := range in.Groups() {
			g.Keep(func(row int) bool { return g.Field("n").Value(row).Int()%2 == 0 })
			out.Take(g)
		}
		return nil
	})
	got := processortest.Process(t, even, point(1), point(2), point(3), point(4))
	if len(got) != 2 || got[0].Fields["n"] != int64(2) || got[1].Fields["n"] != int64(4) {
		t.Errorf("points %v", got)
	}
}

// last remembers the last point.
type last struct{ p telemetry.Point }

func (l *last) Process(_ context.Context, in, _ *telemetry.Batch) error {
	for p := range in.Points() {
		l.p = p
	}
	return nil
}

func (*last) Window() time.Duration { return time.Minute }

func (l *last) Flush(_ context.Context, out func(string) *telemetry.Batch) error {
	out("web-1").Append(l.p)
	return nil
}

func TestFlush(t *testing.T) {
	if got := processortest.Process(t, &last{}, point(1), point(2)); len(got) != 1 || got[0].Fields["n"] != int64(2) {
		t.Errorf("points %v", got)
	}
}
