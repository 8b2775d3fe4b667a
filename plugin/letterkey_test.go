package plugin

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

func TestLetterKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep")
	path := filepath.Join(dir, "letters.key")
	f := func(what string, same []byte) []byte {
		t.Helper()
		key, err := letterKey(dir)
		if err != nil || len(key) != letterKeySize || same != nil && !bytes.Equal(key, same) {
			t.Errorf("%s: %x, %v", what, key, err)
		}
		if is, err := os.Stat(path); err != nil || is.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", what, is, err)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Errorf("%s: the folder has %v, %v", what, names, err)
		}
		return key
	}
	first := f("the first process", nil)
	f("the next one", first)
	if err := os.WriteFile(path, first[:5], 0o600); err != nil {
		t.Fatal(err)
	}
	if key := f("after it was torn", nil); bytes.Equal(key, first) || bytes.Equal(key, make([]byte, letterKeySize)) {
		t.Errorf("%x", key)
	}
	if key, err := letterKey(""); err == nil {
		t.Errorf("without a folder: %x", key)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := letterKey(file); err == nil || len(key) > 0 {
		t.Errorf("where no folder can be: %x, %v", key, err)
	}
}

// TestDiesWithLetter checks that a plugin which dies after it has written a dead letter, and before it has settled the batch, leaves one
// letter: its next process, which is given the batch again, writes the same.
func TestDiesWithLetter(t *testing.T) {
	b := bustest.New(t)
	hub := b.Conn(t, "hub")
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "out", Filters: []string{bus.MetricsFilter("cpu")}, Start: "all"}
	if err := hub.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	src, err := bus.NewPublisher(hub, bus.PublisherOptions{Host: "h1", Plugin: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := src.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject("h1", "cpu"), Body: []byte("x v=1 1")}); err != nil {
		t.Fatal(err)
	}
	def := Define(Publisher, Spec[struct{}, any]{Program: "out", Summary: "Waits."}, func(context.Context, *Session, any) error { return nil })
	given := 0
	f := func(dir string, want uint64) {
		t.Helper()
		l, err := newLife(t.Context(), def, Options{Bus: b.URL, Host: "h1", Plugin: "out", Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer l.close() // as by death: nothing is settled
		k, err := l.data.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := k.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if given++; d.Deliveries < given {
			t.Errorf("given out %d times, want %d", d.Deliveries, given)
		}
		s := busSettler{&busSource{link: l.link, consumer: k, stream: in.Stream, durable: in.Durable}, d}
		if err := s.bury(t.Context(), d.Body, 0, "rejected", errors.New("status 400")); err != nil {
			t.Fatal(err)
		}
		if is, err := hub.StreamInfo(t.Context(), bus.StreamDead); err != nil || is.Messages != want {
			t.Errorf("%d letters, want %d: %v", is.Messages, want, err)
		}
		if err := d.Nak(0); err != nil { // sooner than the bus would by itself
			t.Fatal(err)
		}
		k.Stop()
		if err := k.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	f(dir, 1)
	f(dir, 1)
	f(t.TempDir(), 2) // it cannot know the secret
}
