package statsd

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/listen"
	"github.com/pacewire/pacewire/plugin"
)

// framed returns texts with their lengths before them.
func framed(texts ...string) string {
	var all []byte
	for _, text := range texts {
		all = append(binary.LittleEndian.AppendUint32(all, uint32(len(text))), text...)
	}
	return string(all)
}

func TestFrames(t *testing.T) {
	r := start(t, nil, "unixstream://"+filepath.Join(t.TempDir(), "s"))
	f := func(text, reason string) {
		t.Helper()
		before := r.dropped(reason)
		network, address, _ := strings.Cut(r.addresses()[0], "://")
		c, err := net.Dial(strings.TrimSuffix(network, "stream"), address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write([]byte(text)) // it may be closed meanwhile
		_ = c.(*net.UnixConn).CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(c); err != nil && os.IsTimeout(err) {
			t.Errorf("%.20q: it is not closed", text)
		}
		r.until(reason, func() bool { return reason == "" || r.dropped(reason) == before+1 })
	}
	largest := strings.Repeat("c:1|c\n", maxFrame/6)
	f(framed("c:1|c", "c:1|c\nc:1|c\n", "", largest), "")
	f(framed("c:1|c", "c"), "bad_name")
	f(framed("c:1|c")+"\x05", "unfinished")
	f(framed("c:1|c", "c:1|c")[:17], "unfinished")
	f(framed("c:1|c", strings.Repeat("x", maxFrame+1), "c:1|c"), "bad_length")
	f("c:1|c\nc:1|c\n", "bad_length") // lines, which are for unix://
	noise := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	f(string(noise), "bad_length")
	want := 3.0 + maxFrame/6 + 4
	r.until("all is added up", func() bool { r.table.mu.Lock(); defer r.table.mu.Unlock(); return r.table.metrics[0].value == want })
}

func TestTLS(t *testing.T) {
	cert, key := bustest.Certificate(t)
	r := start(t, func(c *Config) { c.TLS = listen.TLS{CertFile: cert, KeyFile: key} }, "tcp://127.0.0.1:0", "udp://127.0.0.1:0")
	r.send(r.dial(1), "u:1|c") // which cannot be encrypted
	plain := r.dial(0)
	r.send(plain, "c:1|c\n") // no handshake: nothing of it counts
	if answer, _ := io.ReadAll(plain); len(answer) > 0 && answer[0] != 21 {
		t.Errorf("%q", answer) // an alert of TLS is all that comes
	}
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(cert); err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	c := tls.Client(r.dial(0), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	r.send(c, strings.Repeat("c:1|c\n", 10_001)+"bad\n")
	r.until("all is read", func() bool { return r.dropped("bad_name") == 1 })
	r.until("the datagram is read", func() bool { r.table.mu.Lock(); defer r.table.mu.Unlock(); return len(r.table.metrics) == 2 })
	if got, want := r.points(), []string{"c total=10001,value=10001", "u total=1,value=1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if text := r.log.String(); !strings.Contains(text, `msg="connection refused"`) || !strings.Contains(text, "first record does not look like a TLS handshake") {
		t.Errorf("log: %s", text)
	}
}

// Who says nothing is sent away, and gives others his place.
func TestIdle(t *testing.T) {
	r := start(t, func(c *Config) { c.IdleTimeout, c.MaxConnections = plugin.Duration(10*time.Millisecond), 1 }, "tcp://127.0.0.1:0")
	for range 3 {
		var c net.Conn
		r.until("there is a place", func() bool { // who comes while there is none is closed at once, and nothing of it counts
			before := r.dropped("bad_name") + r.dropped("unfinished")
			c = r.dial(0)
			_, _ = io.WriteString(c, "bad\nc:1") // the latter never ends
			_ = c.SetReadDeadline(time.Now().Add(patience))
			_, _ = io.ReadAll(c)
			_ = c.Close()
			return r.dropped("bad_name")+r.dropped("unfinished") > before
		})
	}
}

func TestTwinsAreTold(t *testing.T) {
	r := start(t, nil, "tcp://127.0.0.1:0")
	r.send(r.dial(0), "a:1|c\na:5|g\n")
	const want = `msg="a metric has two types, and most databases keep one of them" metric=a hint="set type_tag, such as metric_type"`
	r.until("the log says so", func() bool { return strings.Contains(r.log.String(), want) })
}
