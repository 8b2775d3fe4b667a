package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

func TestTakes(t *testing.T) {
	f := func(filter, subject string, want bool) {
		t.Helper()
		if got := takes(filter, subject); got != want {
			t.Errorf("%s %s: %v", filter, subject, got)
		}
	}
	f("pw.metrics.*.send", "pw.metrics.h1.send", true)
	f("pw.metrics.>", "pw.metrics.h1.send", true)
	f("pw.metrics.h1.>", "pw.metrics.h1", false)
	f("pw.metrics.*.host", "pw.metrics.h1.send", false)
	f("pw.metrics.*", "pw.metrics.h1.send", false)
	f("pw.metrics.*.send.x", "pw.metrics.h1.send", false)
}

// Who sends points that nobody reads is told, and they are stored all the same.
func TestSendUnread(t *testing.T) {
	place(t)
	b := bustest.New(t)
	noted(t, b.URL, "")
	send := func() string {
		var out, err bytes.Buffer
		a := &app{in: strings.NewReader("cpu v=1\n"), out: &out, err: &err}
		if code := a.run(t.Context(), func() {}, []string{"send"}); code != 0 {
			t.Errorf("exit code %d", code)
		}
		return err.String()
	}
	if got := send(); got != "1 point stored\nnote: no plugin reads them: put send into the from: of one\n" {
		t.Errorf("%q", got)
	}
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "file", Filters: []string{bus.Pattern(bus.AreaMetrics, bus.Any, bus.Name("send"))}}
	if err := b.Conn(t, "agent").EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if got := send(); got != "1 point stored\n" {
		t.Errorf("%q", got)
	}
}
