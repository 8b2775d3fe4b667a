package bus

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// What was written into a dead link is dropped with it; a connection that lives is closed in good order, and all that was written arrives.
func TestStaleConnection(t *testing.T) {
	f := func(stale time.Duration, want error) {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := staleDialer{time.Minute, stale}.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if _, err := server.Write([]byte("PING")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 8)); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		_ = server.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := server.Read(make([]byte, 8)); !errors.Is(err, want) {
			t.Errorf("silent for %v: the other end sees %v, want %v", stale, err, want)
		}
	}
	f(time.Hour, io.EOF)
	f(-1, syscall.ECONNRESET)
}
