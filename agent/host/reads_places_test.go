package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// An agent that starts again, and finds that the bus has lost a consumer meanwhile, makes it anew where it was, and tells.
func TestPlaces(t *testing.T) {
	const text = "collect: { feed: { use: facts } }\npublish: { sink: { from: feed } }\n"
	b, dir := bustest.New(t), t.TempDir()
	start := func() *Host {
		t.Helper()
		o := newHost(t, b.URL, text).o
		o.Dir = dir
		h := New(o)
		if err := h.dial(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.close)
		if err := h.provide(t.Context()); err != nil {
			t.Fatal(err)
		}
		return h
	}
	gone := func(h *Host) {
		t.Helper()
		if err := h.conn.DeleteConsumer(t.Context(), bus.StreamMetrics, "sink"); err != nil {
			t.Fatal(err)
		}
	}
	f := func(what string, h *Host, pending uint64, told bool) {
		t.Helper()
		c, err := h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
		if err != nil || c.Pending != pending {
			t.Errorf("%s: %d wait, want %d; %v", what, c.Pending, pending, err)
		}
		is := false
		for len(h.diary.queue) > 0 {
			v := <-h.diary.queue
			is = is || v.Type == losesPlace && strings.Contains(v.Message, "publisher sink: its consumer sink of METRICS was gone")
		}
		if is != told {
			t.Errorf("%s: told %v", what, is)
		}
	}
	h := start()
	f("a new one", h, 0, false)
	send(t, h, "feed", 20)
	drain(t, h, 20)
	h.lookForLag(t.Context())
	h.savePlaces(time.Now())
	send(t, h, "feed", 10)
	f("the agent ends", h, 10, false)

	h = start()
	f("it is there", h, 10, false)
	gone(h)
	h = start()
	f("it is gone", h, 10, true)

	file := filepath.Join(dir, "places.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone(h)
	h = start()
	f("nobody knows any more", h, 0, false)
	h.lookForLag(t.Context())
	h.savePlaces(time.Now())
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	h.savePlaces(time.Now())
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("written though nothing is new: %v", err)
	}
}
