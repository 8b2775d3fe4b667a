package collectortest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/collector/collectortest"
	"github.com/pacewire/pacewire/telemetry"
)

type collect func(out *telemetry.Batch) error

func (f collect) Collect(_ context.Context, out *telemetry.Batch) error { return f(out) }

func TestCollect(t *testing.T) {
	points := collectortest.Collect(t, collect(func(out *telemetry.Batch) error {
		out.Add("s", telemetry.Fields{"v": 1}, nil)
		return nil
	}), nil)
	if len(points) != 1 || points[0].Fields["v"] != int64(1) || points[0].Time.Unix() != 1763559525 {
		t.Errorf("points %v", points)
	}
}

// A recorder is a test that keeps what went wrong to itself.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Errorf(format string, args ...any) { r.said = append(r.said, format) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.said = append(r.said, format)
	panic(r)
}

func TestErrors(t *testing.T) {
	f := func(c collect, made error, want string) {
		t.Helper()
		r := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }()
			collectortest.Collect(r, c, made)
		}()
		if got := strings.Join(r.said, "\n"); !strings.HasPrefix(got, want) {
			t.Errorf("said %q, want %q", got, want)
		}
	}
	f(func(*telemetry.Batch) error { return errors.New("away") }, nil, "collect:")
	f(nil, errors.New("no such device"), "new:")
}
