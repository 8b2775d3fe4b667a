package child

import (
	"slices"
	"testing"

	"github.com/pacewire/pacewire/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestEnviron(t *testing.T) {
	own := []string{"PATH=/bin", "LANG=de_DE", "LC_NUMERIC=de_DE", "LC_ALL=de_DE", "LANGUAGE=de", "PACEWIRE_CREDS=/secret", "PACEWIRE_BUS=nats://x", "TZ=UTC", "LANGEOOG=1", "GOGC=50", "GOMAXPROCS=1", "GOMAXPROCS=4"}
	got := Environ(own, "PW_A=1", "PACEWIRE_HOST=h")
	want := []string{"PATH=/bin", "TZ=UTC", "LANGEOOG=1", "GOMAXPROCS=4", "LC_ALL=C.UTF-8", "PW_A=1", "PACEWIRE_HOST=h"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
