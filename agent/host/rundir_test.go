package host

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// That the run folder is gone is said once, however often it is looked for.
func TestRunDirGone(t *testing.T) {
	var said bytes.Buffer
	h := newHost(t, "nats://127.0.0.1:1", idler)
	h.log = slog.New(slog.NewTextHandler(&said, nil))
	f := func(want ...string) {
		t.Helper()
		said.Reset()
		for range 3 {
			h.lookForRunDir()
		}
		if got := strings.Count(said.String(), "\n"); got != len(want) {
			t.Errorf("%d lines: %s", got, said.String())
		}
		for _, text := range want {
			if !strings.Contains(said.String(), text) {
				t.Errorf("%s is not in %s", text, said.String())
			}
		}
	}
	f()
	h.o.RunDir = filepath.Join(t.TempDir(), "run")
	f("level=ERROR msg=\"run folder was removed: start the agent again\" folder=" + h.o.RunDir)
	if err := os.Mkdir(h.o.RunDir, 0o700); err != nil {
		t.Fatal(err)
	}
	f("run folder is back")
}
