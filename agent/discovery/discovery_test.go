package discovery

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/trust"
	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "--describe" { // as a plugin's binary
		os.Stdout.WriteString(manifest("binary"))
		return
	}
	leaktest.Main(m)
}

func manifest(program string) string {
	text, err := json.Marshal(telemetry.Manifest{
		Kind: "collector", Program: program, Version: "1.2.3", API: 1, Schema: json.RawMessage(`{"type":"object"}`),
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// plugin is a script that describes itself, and counts how often in a file beside it.
func plugin(program string) string {
	return "#!/bin/sh\necho x >>" + counter(program) + "\n[ \"$*\" = --describe ] || exit 64\ncat <<'.'\n" + manifest(program) + "\n.\n"
}

func counter(program string) string { return filepath.Join(os.TempDir(), ".asked-"+program) }

// A bench is a plugin directory and who looks into it.
type bench struct {
	*Finder
	dir string
}

// newBench has a folder for each of n plugin directories.
func newBench(t *testing.T, n int, o Options) bench {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", makeDir(t, dir+"/tmp", 0o755))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		o.Dirs = append(o.Dirs, makeDir(t, dir+"/"+string(rune('a'+i)), 0o755))
	}
	var err error
	if o.Checker, err = trust.New(dir + "/copies"); err != nil {
		t.Fatal(err)
	}
	if o.Trust.Level == "" {
		o.Trust.Level = trust.Warn
	}
	return bench{New(o), dir}
}

func makeDir(t *testing.T, name string, mode fs.FileMode) string {
	t.Helper()
	if err := errors.Join(os.Mkdir(name, 0o700), os.Chmod(name, mode)); err != nil {
		t.Fatal(err)
	}
	return name
}

// put writes a file as a whole, whatever the umask. No process that starts beside holds it open for writing.
func (b bench) put(t *testing.T, name, text string, mode fs.FileMode) string {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	name = filepath.Join(b.dir, name)
	part := filepath.Join(filepath.Dir(name), ".part")
	if err := errors.Join(os.WriteFile(part, []byte(text), 0o600), os.Chmod(part, mode), os.Rename(part, name)); err != nil {
		t.Fatal(err)
	}
	return name
}

// rest waits until the clock of the file system has gone on, so that each change from now on is one.
func (b bench) rest(t *testing.T) {
	t.Helper()
	eventually(t, "the clock has gone on", func() bool {
		files, _ := filepath.Glob(b.dir + "/[ab]/*")
		return !slices.ContainsFunc(files, func(name string) bool {
			id, err := trust.Identify(name)
			return err == nil && !id.Settled()
		})
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// asked is how often a program has described itself.
func asked(program string) int {
	text, _ := os.ReadFile(counter(program))
	return len(text) / 2
}

// states shows programs in short: "a/fan available fan".
func (b bench) states(all []Program) (list []string) {
	for _, p := range all {
		name, _ := filepath.Rel(b.dir, p.Path)
		list = append(list, name+" "+string(p.State)+" "+p.Name)
	}
	return list
}

func (b bench) want(t *testing.T, all []Program, want ...string) {
	t.Helper()
	if got := b.states(all); !slices.Equal(got, want) {
		t.Errorf("programs %q, want %q", got, want)
		for _, p := range all {
			t.Log(p.Path, p.Reason)
		}
	}
}

func TestScan(t *testing.T) {
	b := newBench(t, 1, Options{API: 1})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	b.put(t, "a/binary", string(text), 0o755)
	path := b.put(t, "a/fan.sh", plugin("fan"), 0o755)
	all := b.Scan(t.Context())
	b.want(t, all, "a/binary available binary", "a/fan.sh available fan")
	fan := all[1]
	if fan.Kind != "collector" || fan.Version != "1.2.3" || fan.Path != path || len(fan.SHA256) != 64 || fan.Reason != "" ||
		string(fan.Manifest.Schema) != `{"type":"object"}` {
		t.Errorf("%+v", fan)
	}
	b.want(t, b.Programs(), b.states(all)...)
}

// What lies beside programs is not executed, whatever its mode.
func TestWhatIsNoProgram(t *testing.T) {
	b := newBench(t, 1, Options{})
	for _, name := range []string{
		"fan.json", "fan.yaml", "fan.YML", "fan.asc", "fan.sig", "fan.pem", "fan.so", "README.md", ".fan", "_fan", "fan~",
	} {
		b.put(t, "a/"+name, plugin("fan"), 0o755)
	}
	b.put(t, "a/plain", plugin("fan"), 0o644)
	makeDir(t, b.dir+"/a/folder", 0o755)
	err := errors.Join(os.Symlink("folder", b.dir+"/a/link"), os.Symlink("nowhere", b.dir+"/a/broken"), syscall.Mkfifo(b.dir+"/a/fifo", 0o755))
	if err != nil {
		t.Fatal(err)
	}
	b.want(t, b.Scan(t.Context()))
	if n := asked("fan"); n != 0 {
		t.Errorf("asked %d times", n)
	}
	missing := New(Options{Dirs: []string{b.dir + "/absent", b.dir + "/a/plain"}})
	if all := missing.Scan(t.Context()); len(all) > 0 {
		t.Errorf("%v in a directory that is none", all)
	}
}

// A program is asked once for each state that it is in, and each change is told once.
func TestAppearsChangesGoes(t *testing.T) {
	var told [][]Program
	b := newBench(t, 1, Options{OnChange: func(all []Program) { told = append(told, all) }})
	f := func(asks, tells int, want ...string) {
		t.Helper()
		b.rest(t)
		for range 3 {
			b.want(t, b.Scan(t.Context()), want...)
		}
		if n := asked("fan"); n != asks || len(told) != tells {
			t.Errorf("asked %d times, told %d; want %d, %d", n, len(told), asks, tells)
		}
	}
	f(0, 0)
	b.put(t, "a/fan", plugin("fan"), 0o755)
	b.rest(t)
	f(1, 1, "a/fan available fan")
	if err := os.Chmod(b.dir+"/a/fan", 0o644); err != nil {
		t.Fatal(err)
	}
	f(1, 2)
	if err := os.Chmod(b.dir+"/a/fan", 0o755); err != nil {
		t.Fatal(err)
	}
	f(2, 3, "a/fan available fan")
	b.put(t, "a/fan", plugin("fan")+"# another\n", 0o755)
	b.rest(t)
	f(3, 4, "a/fan available fan")
	if a, b := told[2][0].SHA256, told[3][0].SHA256; a == b {
		t.Errorf("both have %s", a)
	}
	now := time.Now()
	if err := os.Chtimes(b.dir+"/a/fan", now, now); err != nil { // the same program, so nobody is told
		t.Fatal(err)
	}
	f(4, 4, "a/fan available fan")
	b.put(t, "a/other", "#!/bin/sh\necho junk\n", 0o755)
	b.rest(t)
	f(4, 5, "a/fan available fan", "a/other unusable other")
	if err := os.Remove(b.dir + "/a/fan"); err != nil {
		t.Fatal(err)
	}
	f(4, 6, "a/other unusable other")
	if err := os.RemoveAll(b.dir + "/a"); err != nil {
		t.Fatal(err)
	}
	f(4, 7)
}

// A file that is written within the tick of the clock in which it was looked at is looked at again.
func TestYoungFile(t *testing.T) {
	b := newBench(t, 1, Options{})
	path := b.put(t, "a/fan", plugin("fan"), 0o755)
	b.Scan(t.Context())
	e := b.entries[path]
	e.again, e.settled = time.Time{}, false
	e.stamp = stamp{}
	b.rest(t)
	b.Scan(t.Context())
	asks := asked("fan")
	if !e.again.IsZero() || !e.settled {
		t.Errorf("settled %v, again %v", e.settled, e.again)
	}
	e.settled, e.again = false, time.Now()
	b.Scan(t.Context())
	b.Scan(t.Context())
	b.Scan(t.Context())
	if n := asked("fan"); n != asks+2 {
		t.Errorf("asked %d times, want %d", n, asks+2)
	}
}

// Names that repeat: the first directory wins, and the other one comes up when it is gone.
func TestShadowed(t *testing.T) {
	b := newBench(t, 2, Options{})
	b.put(t, "a/z-fan", plugin("fan"), 0o755)
	b.put(t, "b/fan", plugin("fan"), 0o755)
	b.put(t, "b/fan2", plugin("fan"), 0o755)
	b.put(t, "b/pump", strings.Replace(plugin("fan"), "collector", "publisher", 1), 0o755)
	all := b.Scan(t.Context())
	b.want(t, all, "a/z-fan available fan", "b/fan shadowed fan", "b/fan2 shadowed fan", "b/pump available fan")
	if want := b.dir + "/a/z-fan is the collector fan already"; !strings.Contains(all[1].Reason, want) {
		t.Errorf("reason %s, want %s", all[1].Reason, want)
	}
	if err := os.Remove(b.dir + "/a/z-fan"); err != nil {
		t.Fatal(err)
	}
	b.want(t, b.Scan(t.Context()), "b/fan available fan", "b/fan2 shadowed fan", "b/pump available fan")
}

// A file that is being written is looked at again; until then it is not executed.
func TestBusy(t *testing.T) {
	f := func(level trust.Level) {
		b := newBench(t, 1, Options{Trust: trust.Policy{Level: level}})
		path := b.put(t, "a/fan", plugin("fan"), 0o755)
		w, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		b.want(t, b.Scan(t.Context()), "a/fan busy fan")
		if n := asked("fan"); n != 0 {
			t.Errorf("asked %d times", n)
		}
		w.Close()
		b.want(t, b.Scan(t.Context()), "a/fan available fan")
	}
	f(trust.Warn)
	f(trust.Off) // the kernel says it
}

// What is passing is asked again after a pause that grows, what is not only when it changes.
func TestPassing(t *testing.T) {
	b := newBench(t, 1, Options{Timeout: 20 * time.Millisecond})
	slow := b.put(t, "a/slow", plugin("slow")+"sleep 60\n", 0o755)
	b.rest(t)
	b.Scan(t.Context())
	b.Scan(t.Context())
	e := b.entries[slow]
	f := func(want time.Duration) {
		t.Helper()
		if e.pause != want || time.Until(e.again) > want || time.Until(e.again) < want-time.Minute {
			t.Errorf("again in %v, pause %v; want %v", time.Until(e.again), e.pause, want)
		}
		e.again = time.Now()
		b.Scan(t.Context())
	}
	f(time.Minute)
	f(2 * time.Minute)
	e.pause, e.again = 50*time.Minute, time.Now()
	b.Scan(t.Context())
	f(time.Hour)
	b.o.Timeout = time.Minute // it is in order now, and the machine may be slow
	b.put(t, "a/slow", plugin("slow"), 0o755)
	b.rest(t)
	b.want(t, b.Scan(t.Context()), "a/slow available slow")
	if e.pause != 0 || !e.again.IsZero() {
		t.Errorf("again at %v, pause %v", e.again, e.pause)
	}
}

// What has answered wrongly is not asked again before it has changed.
func TestAnsweredWrongly(t *testing.T) {
	b := newBench(t, 1, Options{})
	junk := b.put(t, "a/junk", plugin("junk")+"echo junk\n", 0o755)
	b.rest(t)
	b.want(t, b.Scan(t.Context()), "a/junk unusable junk")
	if again := b.entries[junk].again; !again.IsZero() {
		t.Errorf("junk is asked again at %v", again)
	}
}

// A directory of all sorts is not executed as a whole.
func TestTooMany(t *testing.T) {
	b := newBench(t, 1, Options{})
	for i := range maxPrograms + 3 {
		b.put(t, "a/fan"+string(rune('0'+i/100))+string(rune('0'+i/10%10))+string(rune('0'+i%10)), "#!/absent\n", 0o755)
	}
	if all := b.Scan(t.Context()); len(all) != maxPrograms {
		t.Errorf("%d programs, want %d", len(all), maxPrograms)
	}
}

func TestAgrees(t *testing.T) {
	p := Program{Path: "/opt/fan", Manifest: telemetry.Manifest{Kind: "collector", Program: "fan", API: 1, Version: "1.0.0"}}
	f := func(hello telemetry.Manifest, want string) {
		t.Helper()
		found, ok := p.Agrees(hello)
		if ok != (want == "") || !ok && (found.Code != trust.Mismatch || found.Detail != want) {
			t.Errorf("%+v: %v, %v; want %q", hello, found, ok, want)
		}
	}
	f(telemetry.Manifest{Kind: "collector", Program: "fan", API: 1, Version: "2.0.0"}, "")
	f(telemetry.Manifest{Kind: "publisher", Program: "fan", API: 1}, "/opt/fan introduces itself as publisher fan (api 1) and described itself as collector fan (api 1)")
	f(telemetry.Manifest{Kind: "collector", Program: "fan", API: 2}, "/opt/fan introduces itself as collector fan (api 2) and described itself as collector fan (api 1)")
	f(telemetry.Manifest{Kind: "collector", Program: "pump", API: 1}, "/opt/fan introduces itself as collector pump (api 1) and described itself as collector fan (api 1)")
}

// signer makes a folder with the public key, and returns what signs.
func (b bench) signer(t *testing.T, name string) func(text string) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if name != "" {
		b.put(t, "keys/"+name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), 0o644)
	}
	return func(text string) string { return string(ed25519.Sign(private, []byte(text))) }
}

// A watch collects what a finder that runs tells.
type watch struct {
	mu   sync.Mutex
	last []Program
}

func (w *watch) set(all []Program) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = all
}

func (w *watch) get() []Program {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// run runs the finder until the test ends.
func (b bench) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		g.Wait()
	})
}
