package bus_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// TestTLS checks who gets to an encrypted bus, and that others learn why they do not.
func TestTLS(t *testing.T) {
	b, cert, key := bustest.Encrypted(t)
	other, otherKey := bustest.Certificate(t)
	f := func(files bus.TLS, want string) {
		t.Helper()
		_ = fails(t, bus.Options{URL: b.URL, User: "u", TLS: files}, want)
	}
	b.Dial(t, bus.Options{User: "u", TLS: bus.TLS{CAFile: cert, CertFile: cert, KeyFile: key}})
	f(bus.TLS{}, "unknown authority")
	f(bus.TLS{CAFile: other, CertFile: cert, KeyFile: key}, "certificate")
	f(bus.TLS{CAFile: cert}, "tls") // how the server hangs up differs
	f(bus.TLS{CAFile: cert, CertFile: other, KeyFile: otherKey}, "tls")
	f(bus.TLS{CAFile: "/nowhere/ca.pem"}, "/nowhere/ca.pem")
	f(bus.TLS{CAFile: key}, "failed to parse root certificate")
	f(bus.TLS{CAFile: cert, CertFile: cert}, "client certificate")
	f(bus.TLS{CAFile: cert, CertFile: cert, KeyFile: otherKey}, "client certificate")
}

// TestTLSIsKept checks that files mean encryption: a server that offers none is not spoken to.
func TestTLSIsKept(t *testing.T) {
	cert, _ := bustest.Certificate(t)
	b := bustest.Bare(t, embedded.Options{})
	_ = fails(t, bus.Options{URL: b.URL, User: "u", TLS: bus.TLS{CAFile: cert}}, "secure connection not available")
}

func TestTLSEnvironment(t *testing.T) {
	f := func(files bus.TLS, want ...string) {
		t.Helper()
		env := files.Environ()
		if !slices.Equal(env, want) {
			t.Errorf("%+v: %v, want %v", files, env, want)
		}
		getenv := func(name string) string {
			for _, line := range env {
				if value, ok := strings.CutPrefix(line, name+"="); ok {
					return value
				}
			}
			return ""
		}
		if got := bus.TLSFrom(getenv); got != files {
			t.Errorf("%v is read as %+v", env, got)
		}
	}
	f(bus.TLS{})
	f(bus.TLS{CAFile: "/ca"}, "PACEWIRE_BUS_CA=/ca")
	f(bus.TLS{"/ca", "/c", "/k"}, "PACEWIRE_BUS_CA=/ca", "PACEWIRE_BUS_CERT=/c", "PACEWIRE_BUS_KEY=/k")
}
