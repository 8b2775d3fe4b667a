package execd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	plugintest.Conform(t, Define(), plugintest.With(`{"command": ["cat"]}`))
}

// process returns what a script makes of points of line protocol, and what is told of it.
func process(t *testing.T, script, points string) (made, told string, code int) {
	t.Helper()
	var in, out telemetry.Batch
	if err := in.DecodeLines([]byte(points), time.Unix(0, 7)); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	text, err := json.Marshal(script)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--once", "--host", "web-1", "--dir", t.TempDir(), "--config", `{"command": ["sh", "-c", ` + string(text) + `]}`}
	code = plugin.Run(t.Context(), Define(), args, bytes.NewReader(in.AppendPoints(nil)), &stdout, &stderr, nil)
	if stdout.Len() > 0 {
		if err := out.DecodeJSON(stdout.Bytes(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return string(out.AppendLines(nil)), stderr.String(), code
}

// What the program prints is sent, whatever it was made of, and whenever it comes.
func TestProcess(t *testing.T) {
	f := func(script, points, want string) {
		t.Helper()
		if made, told, code := process(t, script, points); made != want || code != 0 {
			t.Errorf("%s makes of %q\n%q, want\n%q (code %d)\n%s", script, points, made, want, code, told)
		}
	}
	f("exec cat", "a,t=u n=1i,s=\"two\nlines\" 5\nb x=t 6\n", "a,host=web-1,t=u n=1i,s=\"two\nlines\" 5\nb,host=web-1 x=true 6\n")
	f("cat >/dev/null", "a n=1 5\n", "")
	f("cat >/dev/null; echo late,host=web-2 n=1 9", "a n=1 5\n", "late,host=web-2 n=1 9\n")
	f("while read -r line; do echo rubbish; echo a n=2 5; done", "a n=1 5\n", "a,host=web-1 n=2 5\n")
}

// Points that a program has in hand when it ends are lost; those that it has not begun to read are not said to be done with.
func TestProgramEnds(t *testing.T) {
	made, told, code := process(t, "echo E! no licence >&2; exit 4", "a n=1 5\n")
	if made != "" || code == 0 || !strings.Contains(told, "exit code 4: E! no licence") {
		t.Errorf("%q, code %d, and it is told: %s", made, code, told)
	}
	var many strings.Builder
	for i := range 60_000 { // more than a pipe holds
		fmt.Fprintf(&many, "a,tag=some\\ more n=%d %d\n", i, i+1)
	}
	_, told, code = process(t, "read -r line; exit 4", many.String())
	if code == 0 || !strings.Contains(told, "exit code 4") {
		t.Errorf("code %d, and it is told: %s", code, told)
	}
}

// A small message that stands for a lot of text is refused before anything is made of it.
func TestBomb(t *testing.T) {
	var b telemetry.Batch
	for i := range 4000 {
		b.At(time.Unix(0, int64(i)))
		b.Add("bomb", telemetry.Fields{"n": 1}, nil)
	}
	for g := range b.Groups() {
		g.SetTag("tag", strings.Repeat("x", telemetry.MaxTagValue))
		for i := range telemetry.MaxTags - 1 {
			g.SetTag(fmt.Sprint("tag", i), strings.Repeat("x", telemetry.MaxTagValue))
		}
	}
	if err := (&processor{}).give(t.Context(), nil, &b); !plugin.IsPermanent(err) || errors.Is(err, plugin.ErrTooLarge) {
		t.Errorf("%v", err)
	}
}
