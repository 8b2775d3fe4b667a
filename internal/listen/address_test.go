package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	schemes := []string{"tcp", "udp", "http", "unix"}
	f := func(entry, scheme, address string) {
		t.Helper()
		if a, err := Parse(entry, schemes...); err != nil || a != (Address{scheme, address}) {
			t.Errorf("%s: %v, %v", entry, a, err)
		}
	}
	f("tcp://127.0.0.1:8094", "tcp", "127.0.0.1:8094")
	f("tcp://:8094", "tcp", ":8094")
	f("udp://[::1]:0", "udp", "[::1]:0")
	f("http://localhost:8086/", "http", "localhost:8086")
	f("unix:///run/a.sock", "unix", "/run/a.sock")

	bad := func(entry, want string) {
		t.Helper()
		if _, err := Parse(entry, schemes...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", entry, err, want)
		}
	}
	bad("", "want tcp://host:port, udp://host:port, http://host:port or unix:///path")
	bad("8094", "want tcp://host:port")
	bad("127.0.0.1:8094", "want tcp://host:port")
	bad("https://a:1", "want http://a:1: it is TLS when cert_file and key_file are set")
	bad("tls://a:1", "want tcp://a:1: it is TLS")
	bad("grpcs://a:1", "want tcp://host:port") // nor is there a grpc
	bad("tcp:a:1", "want tcp://host:port")
	bad("tcp://u@a:1", "want tcp://host:port")
	bad("http://a:1?x=y", "want tcp://host:port")
	bad("tcp://a", "want a host and a port, such as tcp://127.0.0.1:8094")
	bad("tcp://a:65536", "want a host and a port")
	bad("tcp://a:x", "want tcp://host:port")
	bad("http://a:1/write", "has a path: want http://a:1")
	bad("unix://a.sock", "want an absolute path, such as unix:///run/name.sock")
	bad("unix:///", "want an absolute path")
	bad("unix:///"+strings.Repeat("x", 107), "the path has 108 bytes, a Unix socket takes 107")

	if _, err := Parse("x://a:1", "udp"); err == nil || err.Error() != "want udp://host:port" {
		t.Errorf("one scheme: %v", err)
	}
}

func TestCheck(t *testing.T) {
	f := func(want string, entries ...string) {
		t.Helper()
		if got := errors.Join(Check(entries, "udp", "unixgram")...); fmt.Sprint(got) != want {
			t.Errorf("%q: %v, want %s", entries, got, want)
		}
	}
	f("<nil>", "udp://a:1", "udp://a:2", "unixgram:///a")
	f("<nil>", "udp://a:0", "udp://a:0")
	f("listen is empty: name an address, such as udp://127.0.0.1:8094")
	f(`listen "tcp://a:1": want udp://host:port or unixgram:///path`, "tcp://a:1")
	f(`listen "unixgram:///a": is there twice: remove one`, "unixgram:///a", "unixgram:///a")
}

func TestMode(t *testing.T) {
	f := func(text string, want fs.FileMode) {
		t.Helper()
		if got, err := Mode(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	f("0660", 0o660)
	f("600", 0o600)
	for _, text := range []string{"", "rw", "7777", "-1"} {
		if _, err := Mode(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
