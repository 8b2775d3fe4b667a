package telemetry

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// texted returns the larger of the texts of b.
func texted(b *Batch) int { return max(len(b.AppendLines(nil)), len(b.AppendPoints(nil))) }

// TestTextWithin checks that the estimate is never below what is written, nor far above it.
func TestTextWithin(t *testing.T) {
	f := func(name string, most float64, add func(b *Batch)) {
		t.Helper()
		var made Batch
		made.At(time.Unix(1763559525, 1))
		add(&made)
		for _, b := range []*Batch{&made, decoded(t, &made)} {
			b.DefaultTag("host", "web-1")
			n := texted(b)
			if b.TextWithin(n - 1) {
				t.Errorf("%s: %d bytes are taken for less", name, n)
			}
			if limit := int(most * float64(n)); !b.TextWithin(limit) {
				t.Errorf("%s: %d bytes are taken for more than %d", name, n, limit)
			}
			if closer := !b.textWithin(int64(n-1), closely); !closer {
				t.Errorf("%s: looked at closely, %d bytes are taken for less", name, n)
			}
		}
	}
	f("numbers", 2.2, func(b *Batch) {
		for i := range 1000 {
			b.Add("cpu", Fields{"n": i, "u": uint64(i), "v": 0.1 * float64(i), "w": math.Pi * float64(i), "ok": true}, Tags{"cpu": fmt.Sprint("cpu", i%8)})
		}
	})
	f("extremes", 1.5, func(b *Batch) {
		for i := range 1000 {
			b.Add("x", Fields{"n": math.MinInt64 + i, "u": uint64(math.MaxUint64) - uint64(i), "v": -1.7976931348623157e308, "w": -5e-324}, nil)
		}
	})
	f("one long text among short ones", 1.2, func(b *Batch) {
		for i := range 2000 {
			text := fmt.Sprint("short", i%5)
			if i == 77 {
				text = strings.Repeat("long", 10000)
			}
			b.Add("log", Fields{"text": text}, nil)
		}
	})
	f("a long text in every row", 1.2, func(b *Batch) {
		for i := range 500 {
			b.Add("log", Fields{"text": strings.Repeat("long", 1000+i%2)}, Tags{"k": strings.Repeat("k", 1000+i%3)})
		}
	})
	f("texts of their own", 1.3, func(b *Batch) {
		for i := range 500 {
			b.Add("log", Fields{"text": fmt.Sprintf("%0300d", i)}, Tags{"id": fmt.Sprintf("%0300d", i)})
		}
	})
	f("all to be escaped", 1.3, func(b *Batch) {
		for i := range 500 {
			b.Add("a b,c", Fields{"f =": strings.Repeat("\x01", 200+i%3), "g": strings.Repeat("\"\\", 100)}, Tags{"k =": strings.Repeat(" ,=", 100+i%2)})
		}
	})
	f("groups of one", 2, func(b *Batch) {
		for i := range 300 {
			b.Add(fmt.Sprint("series", i), Fields{"v": 1.5}, nil)
		}
	})
}

// TestTextWithinOfAnything compares it with what is written of any points.
func TestTextWithinOfAnything(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := batchOf(somePoints(r)...)
		if n := int64(texted(b)); n > 0 && (b.textWithin(n-1, roughly) || b.textWithin(n-1, closely)) {
			r.Errorf("%d bytes are taken for less", n)
		}
	})
}

// bomb returns a small message that stands for gigabytes of text.
func bomb() []byte {
	var b Batch
	for i := range MaxPoints {
		b.At(time.Unix(1763559525, int64(i)*1e6))
		b.Add("bomb", Fields{"n": 1}, nil)
	}
	for g := range b.Groups() {
		for i := range MaxTags {
			g.SetTag(fmt.Sprint("tag", i), strings.Repeat("x", MaxTagValue))
		}
	}
	return b.AppendMsgPack(nil)
}

// TestTextOfABomb checks that a message of the usual size which stands for 4 GB is known for it, at once.
func TestTextOfABomb(t *testing.T) {
	body := bomb()
	var b Batch
	if err := b.DecodeMsgPack(body); err != nil || len(body) > 2*MaxFrame {
		t.Fatalf("%d bytes: %v", len(body), err)
	}
	if b.TextWithin(4e9) {
		t.Error("4 GB are taken for less")
	}
	if b.Slice(0, 400); !b.TextWithin(32 << 20) {
		t.Error("a small part of it is taken for 32 MiB")
	}
}

func BenchmarkTextWithin(b *testing.B) {
	benchBatches(func(name string, batch *Batch) {
		b.Run(name, func(b *testing.B) {
			in := decoded(b, batch)
			b.ReportAllocs()
			for b.Loop() {
				in.TextWithin(32 << 20)
			}
			perPoint(b, in.Len())
		})
	})
}
