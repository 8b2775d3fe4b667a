package bustest

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Limits are settings of a stream that a test wants to be others than those of the program; 0: as they are.
type Limits struct {
	Duplicates time.Duration // for which ids are remembered
	MaxMsgSize int32
	MaxBytes   int64
}

// Limit changes the settings of a stream.
func (b *Bus) Limit(t testing.TB, stream string, l Limits) {
	t.Helper()
	opts := []nats.Option{nats.Timeout(startWait)}
	if b.Users != nil {
		g, _ := b.Grant(t, "limits", nil)
		opts = append(opts, nats.UserInfo(g.User, g.Password))
	}
	nc, err := nats.Connect(b.URL, opts...)
	if err != nil {
		t.Fatalf("bustest: %v", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatalf("bustest: %v", err)
	}
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatalf("bustest: stream %s: %v", stream, err)
	}
	config := s.CachedInfo().Config
	if l.MaxMsgSize > 0 {
		config.MaxMsgSize = l.MaxMsgSize
	}
	if l.MaxBytes > 0 {
		config.MaxBytes = l.MaxBytes
	}
	windows := []time.Duration{config.Duplicates}
	if l.Duplicates > 0 { // the server looks for old ids at once, and may do so by the window before
		windows = []time.Duration{l.Duplicates + time.Millisecond, l.Duplicates}
	}
	for _, config.Duplicates = range windows {
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatalf("bustest: stream %s: %v", stream, err)
		}
	}
}
