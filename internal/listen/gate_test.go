package listen

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
)

func TestBearable(t *testing.T) {
	f := func(most, files, want int) {
		t.Helper()
		if got := bearable(most, files); got != want {
			t.Errorf("%d of %d files: %d, want %d", most, files, got, want)
		}
	}
	f(1024, 0, 1024)
	f(1024, 1024, 960)
	f(256, 1024, 256)
	f(256, 64, 32)
	f(256, 1, 1)
	f(1, 524288, 1)
}

// A gate that is too large for its process is made smaller.
func TestGateOfFewFiles(t *testing.T) {
	g := NewGate(1<<20, slog.New(slog.DiscardHandler))
	if files := maxFiles(); files > 0 && files < 1<<20 && (cap(g.slots) >= files || !strings.HasPrefix(g.hint, "raise limits: { files }")) {
		t.Errorf("%d connections of %d files, hint %q", cap(g.slots), files, g.hint)
	}
}

// Whoever is too many is sent away at once, and a place that is left is taken again.
func TestGate(t *testing.T) {
	var j texttest.Buffer
	d := Door{Schemes: []string{"tcp"}, Log: j.Logger()}
	sockets, err := d.Open(t.Context(), []string{"tcp://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	g := NewGate(2, d.Log)
	over := make(chan struct{})
	go func() {
		defer close(over)
		g.Visits(t.Context(), sockets[0].Streams, func(c net.Conn) {
			_, _ = io.WriteString(c, "ok")
			_, _ = io.Copy(io.Discard, c)
		})
	}()
	t.Cleanup(func() { <-over })
	dial := func() (c net.Conn, in bool) {
		t.Helper()
		c, err := net.Dial("tcp", sockets[0].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		n, _ := io.ReadFull(c, make([]byte, 2))
		return c, n == 2
	}
	first, in := dial()
	if _, second := dial(); !in || !second || g.Open() != 2 {
		t.Errorf("%v, %v, %d open", in, second, g.Open())
	}
	for range 100 {
		if _, third := dial(); third {
			t.Fatal("the third gets in")
		}
	}
	if want := `msg="connection refused" hint="raise max_connections" open=2 listen=`; !strings.Contains(j.String(), want) {
		t.Errorf("log without %s: %s", want, j.String()) // before its end is told to who is refused
	}
	_ = first.Close()
	for end := time.Now().Add(time.Minute); ; {
		if _, in := dial(); in {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the place that was left is not taken")
		}
	}
}
