package lines

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

const at = 1763559525000000001

// batch returns n points, v = first, first+1 ...
func batch(first, n int) *telemetry.Batch {
	b := new(telemetry.Batch)
	for i := range n {
		b.At(time.Unix(0, at+int64(first+i)))
		b.Add("cpu", telemetry.Fields{"v": first + i}, telemetry.Tags{"host": "a b"})
	}
	return b
}

// text returns the lines of batch(first, n).
func text(first, n int) string { return string(batch(first, n).AppendLines(nil)) }

// config returns settings for a file in a temporary folder.
func config(t *testing.T) Config {
	t.Helper()
	return Config{Path: filepath.Join(t.TempDir(), "out.lp"), Format: influx, Sync: true}
}

// start returns a publisher that ends with the test, and its log.
func start(t *testing.T, cfg Config) (*sink, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	made, err := New(t.Context(), cfg, plugin.Env{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p := made.(*sink)
	t.Cleanup(func() { _ = p.Close() })
	return p, log
}

func publish(t *testing.T, p *sink, in *telemetry.Batch) {
	t.Helper()
	if err := p.Publish(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s holds\n%swant\n%s", path, got, want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPublish(t *testing.T) {
	cfg := config(t)
	p, _ := start(t, cfg)
	publish(t, p, batch(0, 2))
	publish(t, p, new(telemetry.Batch))
	publish(t, p, batch(2, 1))
	wantFile(t, cfg.Path, `cpu,host=a\ b v=0i 1763559525000000001
cpu,host=a\ b v=1i 1763559525000000002
cpu,host=a\ b v=2i 1763559525000000003
`)
}

func TestJSON(t *testing.T) {
	cfg := config(t)
	cfg.Format = asJSON
	p, _ := start(t, cfg)
	publish(t, p, batch(7, 1))
	wantFile(t, cfg.Path, string(batch(7, 1).AppendPoints(nil)))
	if text := string(batch(7, 1).AppendPoints(nil)); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, `{"series":"cpu"`) {
		t.Errorf("a point is %s", text)
	}
}

func TestStandardOutput(t *testing.T) {
	p, _ := start(t, Config{Path: stdout, Format: influx})
	if p.out.(stream).Writer != os.Stdout {
		t.Error("- is not standard output")
	}
	var out bytes.Buffer
	p.out = stream{&out}
	publish(t, p, batch(0, 3))
	if got := out.String(); got != text(0, 3) {
		t.Errorf("printed %q", got)
	}
	closed, err := os.Open(os.DevNull) // not for writing
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	p.out = stream{closed}
	if err := p.Publish(t.Context(), batch(0, 1)); err == nil {
		t.Error("a write that failed is taken as done")
	}
}

// What a plugin writes next follows what it wrote before a restart.
func TestRestart(t *testing.T) {
	cfg := config(t)
	p, _ := start(t, cfg)
	publish(t, p, batch(0, 2))
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p, log := start(t, cfg)
	publish(t, p, batch(2, 2))
	wantFile(t, cfg.Path, text(0, 4))
	if log.Len() > 0 {
		t.Errorf("log: %s", log)
	}
}

func TestPublishDoesNotAllocate(t *testing.T) {
	cfg := config(t)
	cfg.Sync = false
	p, _ := start(t, cfg)
	in := batch(0, 100)
	publish(t, p, in)
	// Two looks at the file, whose results the os package allocates.
	if n := testing.AllocsPerRun(100, func() { publish(t, p, in) }); n > 6 {
		t.Errorf("%v allocations a batch of 100 points", n)
	}
}

func TestValidate(t *testing.T) {
	good := Config{Path: "x", Format: influx, RotateSize: "1MiB", RotateEvery: plugin.Duration(time.Hour), Keep: 3}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{Format: "csv", RotateSize: "1", RotateEvery: -1, Keep: -1}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"path", `format "csv"`, `rotate_size "1"`, "rotate_every", "keep -1"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%q is not named in %v", key, err)
		}
	}
	if err := (Config{Path: "-", Format: influx, RotateSize: "1MiB"}).Validate(); err == nil {
		t.Error("standard output is to be rotated")
	}
}

func TestDefine(t *testing.T) {
	d := Define()
	if err := d.Check(d.Defaults()); err != nil {
		t.Error(err)
	}
	if err := d.Check([]byte(`{"path": "/tmp/x", "rotate_size": "64MiB", "rotate_every": "1h", "keep": 24}`)); err != nil {
		t.Error(err)
	}
	if err := d.Check([]byte(`{"rotate_size": "64"}`)); err == nil {
		t.Error("a size without a unit is taken")
	}
}

// A file has one writer; standard output may be that of any number of processes.
func TestAlone(t *testing.T) {
	f := func(settings string, alone bool) {
		t.Helper()
		if err := Define().Alone([]byte(settings)); (err != nil) != alone {
			t.Errorf("%s: %v", settings, err)
		}
	}
	f(`{"path": "/tmp/x"}`, true)
	f(`{"path": "-"}`, false)
	f(`{}`, false)
	f(`{"path": 7}`, false) // at fault, which others tell
}

// env returns a world whose log is the test's.
func env(t *testing.T) plugin.Env {
	t.Helper()
	return plugin.Env{Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}
