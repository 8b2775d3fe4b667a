package hub

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// A hub waits for a bus of others to get room for its streams, and says what it lacks. With one of its own it ends.
func TestProvideWithoutRoom(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{MaxStore: 1 << 19})
	said := make(chan string, 100)
	h := New(Options{Streams: bus.DefaultStreams(), Log: slog.New(slog.NewTextHandler(teller(said), nil))})
	h.data.Store(b.Conn(t, bus.Hub))
	h.o.InProcess = b.Server()
	if err := h.provide(t.Context()); !errors.Is(err, bus.ErrFull) {
		t.Errorf("its own: %v", err)
	}
	h.o.InProcess = nil
	done := make(chan error, 1)
	go func() { done <- h.provide(t.Context()) }()
	for !strings.Contains(<-said, "make stream METRICS of ") {
	}
	b.Resize(256 << 20)
	b.Restart(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A teller passes on what is logged, while there is room.
type teller chan<- string

func (w teller) Write(line []byte) (int, error) {
	select {
	case w <- string(line):
	default:
	}
	return len(line), nil
}
