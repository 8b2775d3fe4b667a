package listen

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// open opens a socket, which is closed with the test, and dials it.
func open(t *testing.T, a Address) (Socket, net.Conn) {
	t.Helper()
	d := Door{Schemes: []string{a.Scheme}, Mode: 0o600, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	sockets, err := d.Open(t.Context(), []string{a.Scheme + "://" + a.At})
	if err != nil {
		t.Fatal(err)
	}
	s := sockets[0]
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := net.Dial(s.Addr().Network(), s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return s, c
}

// Datagrams come in order, each for itself, and those that are there together at once where the system can do that.
func TestBatcher(t *testing.T) {
	f := func(a Address) {
		t.Helper()
		s, c := open(t, a)
		b, err := s.Packets.Batcher()
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if got, long, err := b.Next(); len(got) > 0 || long > 0 || err != nil {
			t.Errorf("%s: %q, %d, %v before something came", s.Name(), got, long, err)
		}
		var want, got []string
		for i := range 5 {
			want = append(want, fmt.Sprint(i)+strings.Repeat("x", i*i*400))
		}
		for range 30 { // few at a time: a Unix socket holds no more, and nobody else would read it
			for _, text := range want {
				if _, err := c.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			got = got[:0]
			for end := time.Now().Add(time.Minute); len(got) < len(want); {
				datagrams, _, err := b.Next()
				if err != nil || time.Now().After(end) {
					t.Fatalf("%s: %v after %d", s.Name(), err, len(got))
				}
				for _, d := range datagrams {
					got = append(got, string(d))
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %q, want %q", s.Name(), got, want)
			}
		}
		if n := b.Lost(); n != 0 {
			t.Errorf("%s: %d lost", s.Name(), n)
		}
	}
	f(Address{"udp", "127.0.0.1:0"})
	f(Address{"unixgram", filepath.Join(t.TempDir(), "s")})
}

func TestBatcherOfLongOnes(t *testing.T) {
	s, c := open(t, Address{"unixgram", filepath.Join(t.TempDir(), "s")})
	b, err := s.Packets.Batcher()
	if err != nil {
		t.Fatal(err)
	}
	f := func(size, datagrams, long int) {
		t.Helper()
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		got, n, err := b.Next()
		if len(got) != datagrams || n != long || err != nil || len(got) > 0 && len(got[0]) != size {
			t.Errorf("%d bytes: %d datagrams, %d long, %v", size, len(got), n, err)
		}
	}
	f(maxDatagram, 1, 0)
	f(maxDatagram+1, 0, 1)
	f(3, 1, 0)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := b.Next(); err == nil {
		t.Error("no error of a socket that is closed")
	}
}

// The file of a Unix socket is there for as long as the socket is open, with the permissions that were asked for.
func TestUnixFiles(t *testing.T) {
	for _, scheme := range []string{"unix", "unixgram", "unixstream"} {
		path := filepath.Join(t.TempDir(), "s")
		d := Door{Schemes: []string{scheme}, Mode: 0o600, Log: slog.New(slog.DiscardHandler)}
		sockets, err := d.Open(t.Context(), []string{scheme + "://" + path})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("%s: %v, %v", scheme, info, err)
		}
		if _, err := d.Open(t.Context(), []string{scheme + "://" + path}); err == nil || !strings.Contains(err.Error(), "another program listens there") {
			t.Errorf("%s: a second one: %v", scheme, err)
		}
		if err := Close(sockets); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s: the file is left", scheme)
		}
		if err := Close(sockets); err != nil {
			t.Errorf("%s: closed twice: %v", scheme, err)
		}
	}
}
