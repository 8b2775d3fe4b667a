package host

import (
	"bytes"
	"encoding/json"
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

// On a bus that the config names since, readers begin as new ones do: what it has stored is not sent, and nothing is told as lost.
func TestPlacesOfAnotherBus(t *testing.T) {
	const text = "collect: { feed: { use: facts } }\npublish: { sink: { from: feed } }\n"
	dir := t.TempDir()
	start := func(b *bustest.Bus) *Host {
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
	f := func(what string, h *Host, pending uint64, events int) {
		t.Helper()
		c, err := h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
		if err != nil || c.Pending != pending {
			t.Errorf("%s: %d wait, want %d; %v", what, c.Pending, pending, err)
		}
		if n := len(h.diary.queue); n != events {
			t.Errorf("%s: %d events, want %d", what, n, events)
		}
	}
	h := start(bustest.New(t))
	send(t, h, "feed", 20)
	drain(t, h, 20)
	h.lookForLag(t.Context())
	h.savePlaces(time.Now())

	b := bustest.New(t)
	old := newHost(t, b.URL, "collect: { feed: { use: facts } }\n") // who has used it before
	if err := old.dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.close)
	send(t, old, "feed", 7)
	h = start(b)
	f("another bus", h, 0, 0)
	send(t, h, "feed", 3)
	h.lookForLag(t.Context())
	h.savePlaces(time.Now())

	file := filepath.Join(dir, "places.json")
	var is placesFile
	saved, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(saved, &is)
	}
	if err != nil || is.Bus != b.URL || len(is.Places) != 1 {
		t.Errorf("%s, %v", saved, err)
	}
	gone := func() {
		t.Helper()
		if err := h.conn.DeleteConsumer(t.Context(), bus.StreamMetrics, "sink"); err != nil {
			t.Fatal(err)
		}
	}
	gone()
	h = start(b)
	f("the same bus", h, 3, 1)
	older, err := json.Marshal(is.Places) // as they were kept before: nobody knows of which bus
	if err == nil {
		err = os.WriteFile(file, older, 0o600)
	}
	if err != nil || bytes.Contains(older, []byte("bus")) {
		t.Fatal(string(older), err)
	}
	gone()
	h = start(b)
	f("an older file", h, 0, 0)
}

func TestBusOf(t *testing.T) {
	f := func(url, want string) {
		t.Helper()
		if got := busOf(Options{URL: url}); got != want {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
	f("nats://a:4222", "nats://a:4222")
	f("nats://b, nats://user:secret@a,nats://b", "nats://a,nats://b")
	f("tls://a", "tls://a")
	b := bustest.New(t)
	if got, want := busOf(Options{URL: b.URL, InProcess: b.Server()}), b.Server().Dir(); got != want || !filepath.IsAbs(got) {
		t.Errorf("embedded: %q, want %q", got, want)
	}
}
