package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pacewire/pacewire/telemetry"
)

// keepOnly leaves in b the points whose n is refused, as a publisher does that knows which they are.
func keepOnly(b *telemetry.Batch, refused func(n int64) bool) {
	for g := range b.Groups() {
		n := g.Field("n")
		g.Keep(func(row int) bool { return refused(n.Value(row).Int()) })
	}
}

// numbers returns the values of n in a message.
func numbers(t *testing.T, body []byte) (list []int64) {
	t.Helper()
	var b telemetry.Batch
	if err := b.DecodeMsgPack(body); err != nil {
		t.Error(err)
	}
	for p := range b.Points() {
		list = append(list, p.Fields["n"].(int64))
	}
	return list
}

// TestRefuse checks what becomes of four deliveries of ten points, some of which are refused: each point is set aside with
// its own delivery, or delivered.
func TestRefuse(t *testing.T) {
	f := func(how Batching, limit int, refused func(n int64) bool, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			src, fates := gives(4, 10)
			src.ends = true
			s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
			var stored []int64
			err := s.Deliver(t.Context(), how, func(_ context.Context, in *telemetry.Batch) error {
				if limit > 0 && in.Len() > limit {
					return ErrTooLarge
				}
				for p := range in.Points() {
					if n := p.Fields["n"].(int64); !refused(n) {
						stored = append(stored, n)
					}
				}
				keepOnly(in, refused)
				if in.Len() == 0 {
					return nil
				}
				return Refuse(errors.New("no such number"))
			})
			var got []string
			total := len(stored)
			ids := map[string]bool{}
			for i, f := range fates {
				if f.acked == 0 || f.back > 0 {
					t.Errorf("delivery %d: %+v", i, f)
				}
				for _, l := range f.parts {
					ns := numbers(t, l.body)
					total += len(ns)
					got = append(got, fmt.Sprintf("%d%v", i, ns))
					ids[fmt.Sprint(i, "/", l.part)] = true
				}
			}
			if err != nil || strings.Join(got, " ") != want || total != 40 {
				t.Errorf("%v, %d points; dead letters\n%s, want\n%s", err, total, strings.Join(got, " "), want)
			}
			if len(ids) != len(got) {
				t.Errorf("%d letters have the ids %v", len(got), ids)
			}
			if n := s.count.pointsOut.Load(); n != uint64(len(stored)) {
				t.Errorf("%d points are counted as delivered, %d were", n, len(stored))
			}
			if n := s.count.dead.Load(); n != uint64(len(got)) {
				t.Errorf("%d dead letters are counted, there are %d", n, len(got))
			}
		})
	}
	some := func(list ...int64) func(int64) bool {
		return func(n int64) bool { return slices.Contains(list, n) }
	}
	all := func(int64) bool { return true }
	f(Batching{}, 0, some(), "")
	f(Batching{}, 0, some(12), "1[12]")
	f(Batching{}, 0, some(3, 12, 14, 39), "0[3] 1[12 14] 3[39]")
	f(Batching{}, 0, func(n int64) bool { return n >= 20 && n < 30 || n == 5 }, "0[5] 2[20 21 22 23 24 25 26 27 28 29]")
	f(Batching{Points: 1}, 0, some(12), "1[12]")
	f(Batching{}, 10, some(12), "1[12]")
	f(Batching{}, 3, some(10, 11, 19), "1[10 11] 1[19]")
	f(Batching{}, 3, func(n int64) bool { return n < 10 }, "0[0 1] 0[2 3 4] 0[5 6] 0[7 8 9]")
	f(Batching{}, 0, all, "0[0 1 2 3 4 5 6 7 8 9] 1[10 11 12 13 14 15 16 17 18 19] "+
		"2[20 21 22 23 24 25 26 27 28 29] 3[30 31 32 33 34 35 36 37 38 39]")
}

// TestRefuseIsStable checks that the dead letter of a delivery has the same number whatever came with it, and another one for
// other points.
func TestRefuseIsStable(t *testing.T) {
	parts := func(how Batching, refused int64) (list []int) {
		synctest.Test(t, func(t *testing.T) {
			src, fates := gives(3, 10)
			src.ends = true
			s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
			_ = s.Deliver(t.Context(), how, func(_ context.Context, in *telemetry.Batch) error {
				keepOnly(in, func(n int64) bool { return n == refused || n == 25 })
				return Refuse(errors.New("no"))
			})
			for _, l := range fates[1].parts {
				list = append(list, l.part)
			}
		})
		return list
	}
	together, alone, other := parts(Batching{}, 12), parts(Batching{Points: 1}, 12), parts(Batching{}, 13)
	if len(together) != 1 || !slices.Equal(together, alone) || together[0] == other[0] || together[0] < 1<<20 {
		t.Errorf("parts %v together, %v alone, %v of other points", together, alone, other)
	}
}

// TestRefuseOfOwnPoints checks that what a publisher has put into the batch itself is set aside too, once.
func TestRefuseOfOwnPoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(2, 3)
		src.ends = true
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		_ = s.Deliver(t.Context(), Batching{}, func(_ context.Context, in *telemetry.Batch) error {
			in.Reset()
			in.Add("mine", telemetry.Fields{"n": 77}, nil)
			return Refuse(errors.New("no"))
		})
		if len(fates[0].parts) != 1 || len(fates[1].parts) != 0 || !slices.Equal(numbers(t, fates[0].parts[0].body), []int64{77}) {
			t.Errorf("%+v, %+v", fates[0], fates[1])
		}
		if n := s.count.pointsOut.Load(); n != 5 {
			t.Errorf("%d points are counted as delivered", n)
		}
	})
}

// TestRefuseOfWide checks that a point which fits into no message of ours is set aside with all of its delivery.
func TestRefuseOfWide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b telemetry.Batch
		b.Add("s", telemetry.Fields{"n": 0}, nil)
		fields := telemetry.Fields{"n": 1}
		for i := range 5 {
			fields[fmt.Sprint("text", i)] = strings.Repeat("x", telemetry.MaxText)
		}
		b.Add("s", fields, nil)
		src, fates := gives(1, 1)
		src.ends = true
		body := b.AppendMsgPack(nil)
		src.waiting[0].body = body
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		_ = s.Deliver(t.Context(), Batching{}, func(_ context.Context, in *telemetry.Batch) error {
			keepOnly(in, func(n int64) bool { return n == 1 })
			return Refuse(errors.New("no"))
		})
		if p := fates[0].parts; len(p) != 1 || p[0].part != 0 || string(p[0].body) != string(body) {
			t.Errorf("%d letters: %+v", len(p), fates[0])
		}
	})
}

// TestRefuseElsewhere checks that other kinds take it for a permanent error.
func TestRefuseElsewhere(t *testing.T) {
	err := fmt.Errorf("publish: %w", Refuse(errors.New("no")))
	if !IsPermanent(err) || !IsRefused(err) || IsRefused(Permanent(errors.New("no"))) || IsRefused(nil) {
		t.Error("the verdicts are mixed up")
	}
}
