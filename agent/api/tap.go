package api

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	tapBudget  = 1 << 20 // bytes that one tap decodes in a second
	tapsBudget = 8 << 20 // and all of them together
	usualRate  = 1000    // points a second
	mostRate   = 10_000
)

// tap sends points as they go by, as many in a second as the client wants, and tells what it has left out.
func (c *call) tap() error {
	if _, err := c.s.conn(); err != nil {
		return err
	}
	rate, err := c.number("rate", usualRate, mostRate)
	if err != nil {
		return err
	}
	filters := []string{bus.Pattern(bus.AreaMetrics, c.part("host"), c.part("plugin"))}
	return c.follow(func(ctx context.Context, f *feed) error {
		t := tapper{feed: f, rate: rate}
		t.reader.own, t.reader.shared = newBudget(tapBudget), c.s.taps
		return t.reader.run(ctx, c.s, filters, t.see)
	})
}

// A tapper turns batches into frames, a point each.
type tapper struct {
	feed   *feed
	reader sampled
	rate   int

	batch   telemetry.Batch
	buf     []byte
	second  int64
	room    int    // points that may still be sent in this second
	skipped uint64 // points, since the client was told
	unread  uint64 // batches, since then
	told    uint64 // batches that the reader skipped, of which the client was told
}

// see takes a message.
func (t *tapper) see(m bus.Tapped) error {
	if now := time.Now().Unix(); now != t.second {
		t.second, t.room = now, t.rate
		t.tell()
	}
	if t.room == 0 && t.skipped > 0 { // it is known by now that there is more: not even decoded
		t.unread++
		return nil
	}
	b := &t.batch
	if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
		return nil //nolint:nilerr // no batch, which its readers set aside and tell of
	}
	b.DefaultTag("host", m.Subject.Host)
	n := min(t.room, b.Len())
	t.skipped += uint64(b.Len() - n)
	t.room -= n
	b.Slice(0, n)
	t.buf = b.AppendPoints(t.buf[:0])
	plugin, err := json.Marshal(m.Subject.Plugin)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(t.buf) {
		data := append([]byte(`{"plugin":`), plugin...)
		data = append(append(data, ','), bytes.TrimSpace(line)[1:]...)
		t.feed.push(frame{data: data})
	}
	return nil
}

// tell sends what was left out since it was last told.
func (t *tapper) tell() {
	jumped := t.reader.skipped.Load() - t.told
	if t.skipped == 0 && t.unread == 0 && jumped == 0 {
		return
	}
	data, _ := json.Marshal(map[string]uint64{"points": t.skipped, "batches": t.unread + jumped}) // numbers
	t.feed.push(frame{name: "skipped", data: data})
	t.told += jumped
	t.skipped, t.unread = 0, 0
}
