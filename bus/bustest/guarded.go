package bustest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pacewire/pacewire/bus/embedded"
)

// Guarded starts a bus with small streams that asks everybody for a password.
func Guarded(t testing.TB) *Bus {
	t.Helper()
	return withStreams(t, Bare(t, embedded.Options{Users: new(embedded.Users)}))
}

// Grant gives user a password with these rights, nil being all, and writes it to a
// file for bus.Options.CredsFile.
func (b *Bus) Grant(t testing.TB, user string, rights *embedded.Rights) (g embedded.Grant, creds string) {
	t.Helper()
	g = b.Users.Grant(user, rights)
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatalf("bustest: %v", err)
	}
	creds = filepath.Join(t.TempDir(), "creds.json")
	if err := os.WriteFile(creds, text, 0o600); err != nil {
		t.Fatalf("bustest: %v", err)
	}
	return g, creds
}
