package lines

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// bomb returns a message of less than 256 KiB that stands for 66 KB of text a point.
func bomb(points int) []byte {
	var b telemetry.Batch
	for i := range points {
		b.At(time.Unix(0, at+int64(i)*1e9))
		b.Add("bomb", telemetry.Fields{"n": 1}, nil)
	}
	for g := range b.Groups() {
		for i := range telemetry.MaxTags {
			g.SetTag(fmt.Sprint("tag", i), strings.Repeat("x", telemetry.MaxTagValue))
		}
	}
	return b.AppendMsgPack(nil)
}

// A meter counts lines, and notes the memory in use meanwhile.
type meter struct {
	lines, longest int
	heap           uint64
}

func (m *meter) append(text []byte) error {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	m.heap = max(m.heap, now.HeapAlloc)
	m.lines += bytes.Count(text, []byte("\n"))
	m.longest = max(m.longest, len(text))
	return nil
}

func (*meter) Close() error { return nil }

// TestBomb checks that a small message which stands for a lot of text takes little memory, and that all of it is written.
func TestBomb(t *testing.T) {
	f := func(format string, points int) {
		t.Helper()
		body := bomb(points)
		cfg := config(t)
		cfg.Format = format
		p, _ := start(t, cfg)
		m := &meter{}
		p.out = m
		deliver := func(from, to int) error {
			var in telemetry.Batch
			if err := in.DecodeMsgPack(body); err != nil {
				return err
			}
			in.Slice(from, to)
			return p.Publish(t.Context(), &in)
		}
		var halves func(from, to int) // as package plugin does
		halves = func(from, to int) {
			err := deliver(from, to)
			if errors.Is(err, plugin.ErrTooLarge) {
				halves(from, (from+to)/2)
				halves((from+to)/2, to)
			} else if err != nil {
				t.Error(err)
			}
		}
		halves(0, points)
		if m.lines != points || m.longest > publisher.MaxText || m.heap > 8*publisher.MaxText {
			t.Errorf("%s: %d lines of %d points, %d MiB at a time, %d MiB in use", format, m.lines, points, m.longest>>20, m.heap>>20)
		}
		if cap(p.text) > keptText {
			t.Errorf("%s: %d MiB are kept", format, cap(p.text)>>20)
		}
	}
	f(influx, 4000)
	f(asJSON, 2000)
}

// TestWholeBomb checks that the largest one is refused before anything is made of it.
func TestWholeBomb(t *testing.T) {
	p, _ := start(t, config(t))
	var in telemetry.Batch
	if err := in.DecodeMsgPack(bomb(telemetry.MaxPoints)); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := p.Publish(t.Context(), &in)
	runtime.ReadMemStats(&after)
	if made := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, plugin.ErrTooLarge) || made > 1<<20 {
		t.Errorf("%v, and %d bytes were allocated", err, made)
	}
}
