package conform

import (
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

func TestShow(t *testing.T) {
	f := func(body []byte, want string) {
		t.Helper()
		if got := show(body); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	reply, err := telemetry.EncodeControl(telemetry.CtlReply{ID: "x", OK: true}, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	f(nil, "")
	f([]byte("{ \"a\" : 1 }"), `{"a":1}`)
	f([]byte("load value=1"), "load value=1")
	f(reply, `{"id":"x","ok":true}`)
	f([]byte{0xc1, 0xff}, "2 bytes: c1ff")
	f(slices.Repeat([]byte{0xc1}, 100), "100 bytes: "+strings.Repeat("c1", mostHex)+"...")
	f([]byte(strings.Repeat("ä", 700)), strings.Repeat("ä", mostShown)+"...")
}

func TestViolation(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := violation(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(`127.0.0.1:1 - cid:9 - "v1:go" - "$G/user:a_b" - Publish Violation - Subject "x"`, `Publish Violation - Subject "x"`)
	f("something else", "something else")
}

func TestTail(t *testing.T) {
	w := &tail{}
	for range 2000 {
		if _, err := w.Write([]byte("noise noise\n")); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = w.Write([]byte("\n\xff the last\r\n"))
	lines := w.lines()
	if len(lines) != tailLines || lines[tailLines-1] != "\uFFFD the last" {
		t.Errorf("%q", lines)
	}
	if n := len(w.bytes()); n > 2*tailBytes {
		t.Errorf("it keeps %d bytes", n)
	}
}

func TestRights(t *testing.T) {
	f := func(kind, subject string, want bool) {
		t.Helper()
		if got := slices.Contains(rights(kind, "p", nil).Publish, subject); got != want {
			t.Errorf("a plugin of kind %q may publish on %s: %v", kind, subject, got)
		}
	}
	var _ *embedded.Rights = rights("collector", "p", nil)
	f("collector", "pw.metrics.kit_1=2Eexample.p", true)
	f("processor", "pw.metrics.kit_1=2Eexample.p", false)
	f("publisher", "pw.dead.p", true)
	f("collector", "pw.dead.p", false)
	f("", "pw.metrics.kit_1=2Eexample.p", true) // it may be any
	f("", "pw.dead.p", true)
}
