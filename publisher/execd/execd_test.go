package execd

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestConform(t *testing.T) {
	plugintest.Conform(t, Define())
	plugintest.Conform(t, Define(), plugintest.With(`{"command": ["cat"], "format": "json"}`))
}

func TestValidate(t *testing.T) {
	cfg := Config{Format: "xml"}
	cfg.Stderr = "loud"
	err := cfg.Validate()
	for _, part := range []string{`format "xml": want influx or json`, `stderr "loud"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %q", err, part)
		}
	}
}

// publish gives points of line protocol to a script, in which FILE is a file, and returns what it has written there.
func publish(t *testing.T, script, format, points string) (written, told string, code int) {
	t.Helper()
	var in telemetry.Batch
	if err := in.DecodeLines([]byte(points), time.Unix(0, 7)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "points")
	text, err := json.Marshal(strings.ReplaceAll(script, "FILE", file))
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	args := []string{"--once", "--host", "web-1", "--dir", t.TempDir(), "--config", `{"format": "` + format + `", "command": ["sh", "-c", ` + string(text) + `]}`}
	code = plugin.Run(t.Context(), Define(), args, bytes.NewReader(in.AppendPoints(nil)), &bytes.Buffer{}, &stderr, nil)
	got, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(got), stderr.String(), code
}

// The program is given each point on a line, and may take its time to bring them where they belong when there are no more.
func TestPublish(t *testing.T) {
	f := func(script, format, want string) {
		t.Helper()
		written, told, code := publish(t, script, format, "a,t=u n=1i,s=\"two\nlines\" 5000000000\n")
		if written != want || code != 0 {
			t.Errorf("%s is given\n%q, want\n%q (code %d)\n%s", script, written, want, code, told)
		}
	}
	f("cat >FILE", "influx", "a,host=web-1,t=u n=1i,s=\"two\\nlines\" 5000000000\n")
	f("cat >FILE", "json", `{"series":"a","time":"1970-01-01T00:00:05Z","tags":{"t":"u","host":"web-1"},"fields":{"n":1,"s":"two\nlines"},"types":{"n":"i"}}`+"\n")
	f("yes | head -c 3000000; cat >/dev/null; sleep 0.3; echo late >FILE", "influx", "late\n") // nobody minds what it prints
}

// Points that nobody has begun to read are not said to be delivered.
func TestProgramEnds(t *testing.T) {
	_, told, code := publish(t, "echo E! no route >&2; exit 4", "influx", "a n=1 5\n")
	if code == 0 || !strings.Contains(told, "exit code 4: E! no route") {
		t.Errorf("code %d, and it is told: %s", code, told)
	}
}
