package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
)

// A keeping is a keeper as the test sees it.
type keeping struct {
	id, dir, keep string
	cmd           *exec.Cmd
	stdin         io.Closer
	stays, goes   int
}

// startKeeper starts one, which ends with the test, with all that it keeps. The test is the agent that comes after it.
func startKeeper(t *testing.T) *keeping {
	t.Helper()
	k := &keeping{id: testID(t), dir: t.TempDir(), cmd: exec.Command(os.Args[0])}
	k.keep = filepath.Join(k.dir, "keep")
	k.cmd.Dir, k.cmd.Env = k.dir, []string{role + "=keeper", "ID=" + k.id, "PATH=" + os.Getenv("PATH")}
	stdin, err1 := k.cmd.StdinPipe()
	out, err2 := k.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, k.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	k.stdin = stdin
	t.Cleanup(func() {
		_ = k.cmd.Process.Kill()
		_ = k.cmd.Wait()
		_, _ = Sweep(k.id, 0)
	})
	if _, err := fmt.Fscanf(bufio.NewReader(out), "pids %d %d\n", &k.stays, &k.goes); err != nil {
		t.Fatal(err)
	}
	t.Setenv(Mark, "")
	return k
}

func (k *keeping) kill() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
}

// flood is what the flooder says of itself.
func (k *keeping) flood() (lines, longest int) {
	text, _ := os.ReadFile(filepath.Join(k.dir, "flood"))
	_, _ = fmt.Sscan(string(text), &lines, &longest)
	return lines, longest
}

// flows waits until the flooder has printed more than any pipe holds.
func (k *keeping) flows(t *testing.T) {
	t.Helper()
	before, _ := k.flood()
	eventually(t, "it has printed another megabyte", func() bool {
		now, _ := k.flood()
		return now > before+10_000
	})
}

// longest tells for how long a write was held up, whoever read it or did not. It never is for ever: it flows.
func (k *keeping) longest(t *testing.T) {
	t.Helper()
	lines, longest := k.flood()
	t.Logf("the longest write of %d lines took %d ms", lines, longest)
}

func (k *keeping) guards() []int { return marks(k.id + "." + guardPart) }

// takeOver is what the next agent does.
func (k *keeping) takeOver(t *testing.T, out io.Writer) *Process {
	t.Helper()
	if _, _, err := Own(k.id, 100*time.Millisecond, k.keep); err != nil {
		t.Fatal(err)
	}
	p, err := Resume(k.keep, nil, out)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// inOrder checks that numbered lines, but for the first, which may be a part of one, follow each other.
func inOrder(t *testing.T, text string) {
	t.Helper()
	lines := strings.Split(text[:strings.LastIndexByte(text, '\n')], "\n")
	if len(lines) < 1000 {
		t.Fatalf("%d lines", len(lines))
	}
	last := -1
	for i, line := range lines[1:] {
		n, err := strconv.Atoi(line)
		if err != nil || last >= 0 && n != last+1 {
			t.Fatalf("line %d is %q after %d: %v", i, line, last, err)
		}
		last = n
	}
}

// Kill -9 of an agent: what is kept works on and is never held up, what is not is gone. The next agent follows it, reads
// what it prints, lets the guard go, and ends it with all it has started.
func TestKeptProcessSurvivesKill(t *testing.T) {
	k := startKeeper(t)
	k.flows(t)
	k.kill()
	gone(t, k.goes)
	k.flows(t)
	if len(k.guards()) != 1 {
		t.Errorf("guards %v", k.guards())
	}
	if r, err := ReadRecord(k.keep); err != nil || r.PID != k.stays || r.Note != "a note" || !r.Alive() {
		t.Errorf("%+v, %v", r, err)
	}
	var out texttest.Buffer
	p := k.takeOver(t, &out)
	if p.PID() != k.stays || p.Stdin() != nil || time.Since(p.Started()) > time.Hour {
		t.Errorf("process %d since %v, not %d", p.PID(), p.Started(), k.stays)
	}
	k.flows(t)
	inOrder(t, out.String())
	eventually(t, "the guard has gone", func() bool { return len(k.guards()) == 0 })
	if u, err := p.Usage(); err != nil || u.RSS == 0 {
		t.Errorf("%+v, %v", u, err)
	}
	k.longest(t)
	p.Terminate(100 * time.Millisecond)
	e := ended(t, p)
	if !e.Unknown || e.Code != -1 || e.String() != "exit code unknown" {
		t.Errorf("%+v", e)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal: %v", err)
	}
	if left := marks(k.id); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	if left, err := os.ReadDir(k.keep); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("files %v, %v", left, err)
	}
}

// An agent that ends in order leaves it as well, and a second one after that.
func TestKeptProcessSurvivesTheEnd(t *testing.T) {
	k := startKeeper(t)
	k.flows(t)
	k.stdin.Close()
	if err := k.cmd.Wait(); err != nil {
		t.Error(err)
	}
	gone(t, k.goes)
	if kept := marks(k.id + "." + keptPart); len(kept) != 2 {
		t.Errorf("%v are kept, want it and its descendant", kept)
	}
	k.flows(t)
	var first, second texttest.Buffer
	p := k.takeOver(t, &first)
	k.flows(t)
	if !p.Detach() || p.Detach() != true {
		t.Error("it is not left")
	}
	if e := ended(t, p); !e.Unknown {
		t.Errorf("%+v", e)
	}
	p, err := Resume(k.keep, nil, &second)
	if err != nil {
		t.Fatal(err)
	}
	k.flows(t)
	k.longest(t)
	inOrder(t, first.String()+second.String()) // nobody has read in between
	_ = p.Signal(syscall.SIGKILL)
	ended(t, p)
	if p.Detach() {
		t.Error("it is left, and has ended")
	}
}

// Who is not wanted any more ends with the others that an agent has left.
func TestKeptProcessThatIsNotWanted(t *testing.T) {
	k := startKeeper(t)
	k.flows(t)
	k.kill()
	if _, met, err := Own(k.id, 100*time.Millisecond); err != nil || met < 2 {
		t.Errorf("met %d, %v", met, err)
	}
	gone(t, k.stays)
	eventually(t, "nobody is left", func() bool { return len(marks(k.id)) == 0 })
	if p, err := Resume(k.keep, nil, nil); p != nil || !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v, %v", p, err)
	}
	if p, err := Resume(k.keep, nil, nil); p != nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second time: %v, %v", p, err)
	}
}

// One that has ended while there was no agent takes what it has started along.
func TestKeptProcessThatHasEnded(t *testing.T) {
	k := startKeeper(t)
	k.flows(t)
	k.kill()
	_ = syscall.Kill(k.stays, syscall.SIGKILL)
	gone(t, k.stays)
	if p, err := Resume(k.keep, nil, nil); p != nil || !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v, %v", p, err)
	}
	eventually(t, "nobody is left", func() bool { return len(marks(k.id)) == 0 })
}

// A record does not make a process of another ours.
func TestRecordThatIsNotBelieved(t *testing.T) {
	mark := testID(t)
	stranger := start(t, Command{Args: []string{"sleep", "60"}})
	s, err := readStat(stranger.PID())
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, r Record) {
		t.Helper()
		dir := t.TempDir()
		if err := r.write(dir); err != nil {
			t.Fatal(err)
		}
		if p, err := Resume(dir, nil, nil); p != nil || !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
		if _, err := ReadRecord(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the record is there: %v", name, err)
		}
	}
	f("another mark", Record{PID: stranger.PID(), Start: s.start, Mark: mark})
	f("another start", Record{PID: stranger.PID(), Start: s.start + 1, Mark: mark})
	f("no such process", Record{PID: 1 << 22, Start: 1, Mark: mark})
	f("no mark", Record{PID: stranger.PID(), Start: s.start})
	f("nothing", Record{})
	// Its own mark and another start: the pid was given away within the same family. It is not the one of the record.
	own := strings.TrimPrefix(stranger.mark, Mark+"=")
	if r := (Record{PID: stranger.PID(), Start: s.start + 1, Mark: own}); r.Alive() {
		t.Error("another start is believed")
	}
	if r := (Record{PID: stranger.PID(), Start: s.start, Mark: own}); !r.Alive() {
		t.Error("the right record is not believed")
	}
	select {
	case <-stranger.Done():
		t.Error("the stranger was ended")
	default:
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, recordName), "{", 0o600)
	if p, err := Resume(dir, nil, nil); p != nil || !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("no JSON: %v, %v", p, err)
	}
}

// Two do not read the same fifo, and no second process takes the place of one that is there.
func TestResumeTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keep")
	p := start(t, Command{Args: []string{"sleep", "60"}, KeepDir: dir})
	if q, err := Resume(dir, nil, nil); q != nil || err == nil || !strings.Contains(err.Error(), "another agent reads it") {
		t.Errorf("%v, %v", q, err)
	}
	if q, err := Start(Command{Args: []string{"sleep", "60"}, KeepDir: dir}); q != nil || err == nil || !strings.Contains(err.Error(), "is kept in "+dir+" already") {
		t.Errorf("%v, %v", q, err)
	}
	if r, err := ReadRecord(dir); err != nil || r.PID != p.PID() {
		t.Errorf("%+v, %v", r, err)
	}
}

// The process that we have kept ourselves is one like any other, while we are there.
func TestKeptProcessIsOurChild(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keep")
	var out, errs texttest.Buffer
	p := start(t, Command{Args: []string{"sh", "-c", "echo out; echo err >/dev/stderr; cat; exit 7"}, KeepDir: dir, Stdout: &out, Stderr: &errs})
	if e := ended(t, p); e.Code != 7 || e.Unknown {
		t.Errorf("%+v", e)
	}
	if out.String() != "out\n" || errs.String() != "err\n" {
		t.Errorf("output %q, %q", out.String(), errs.String())
	}
	if left, err := os.ReadDir(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("files %v, %v", left, err)
	}
}

// A descendant that nobody can find holds the fifos, and us for a moment only.
func TestKeptOutputThatStaysOpen(t *testing.T) {
	p := start(t, Command{Args: []string{"sh", "-c", hides(t) + "exit 3"}, Env: []string{"PATH=" + os.Getenv("PATH")}, KeepDir: filepath.Join(t.TempDir(), "keep")})
	if e := ended(t, p); e.Code != 3 {
		t.Errorf("%+v", e)
	}
}

func TestKeepErrors(t *testing.T) {
	f := func(c Command, want string) {
		t.Helper()
		p, err := Start(c)
		if p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want %q", p, err, want)
		}
		if left, err := os.ReadDir(c.KeepDir); err == nil && len(left) > 0 {
			t.Errorf("files %v", left)
		}
	}
	dir := filepath.Join(t.TempDir(), "keep")
	f(Command{Args: []string{"true"}, KeepDir: dir, OnParentDeath: syscall.SIGKILL}, "OnParentDeath must be 0")
	f(Command{Args: []string{"/no/such/program"}, KeepDir: dir}, "no such file")
	write(t, dir, "", 0o600)
	f(Command{Args: []string{"true"}, KeepDir: filepath.Join(dir, "keep")}, "not a directory")
}

// What processes have left that are no more goes, as far as nobody wants it.
func TestClearKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	if err := ClearKept(dir, nil); err != nil {
		t.Error(err)
	}
	p := start(t, Command{Args: []string{"sleep", "60"}, KeepDir: filepath.Join(dir, "alive")})
	was, err := ReadRecord(filepath.Join(dir, "alive"))
	if err != nil || was.PID != p.PID() {
		t.Fatal(was, err)
	}
	was.Start++ // another has its pid
	for _, name := range []string{"wanted", "over", "empty", "broken"} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		switch name {
		case "wanted", "over":
			if err := was.write(path); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(path, recordName+".new"), "{", 0o600) // of who was ended meanwhile
		case "broken":
			write(t, filepath.Join(path, recordName), "{", 0o600)
		}
	}
	elsewhere := t.TempDir()
	write(t, filepath.Join(elsewhere, "file"), "", 0o600)
	if err := os.Symlink(elsewhere, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := ClearKept(dir, []string{filepath.Join(dir, "wanted"), filepath.Join(dir, "absent")}); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if want := []string{filepath.Join(dir, "alive"), filepath.Join(dir, "link"), filepath.Join(dir, "wanted")}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left are %q, %v; want %q", left, err, want)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "file")); err != nil {
		t.Error(err)
	}
	file := filepath.Join(elsewhere, "file")
	if err := ClearKept(file, nil); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file: %v", err)
	}
}

// A user of its own may open its own output by name.
func TestKeptUser(t *testing.T) {
	needRoot(t)
	var out texttest.Buffer
	p := start(t, Command{Args: []string{"sh", "-c", "echo hello >/dev/stderr"}, Dir: "/", User: "nobody", KeepDir: filepath.Join(t.TempDir(), "keep"), Stderr: &out})
	if e := ended(t, p); e.Code != 0 || out.String() != "hello\n" {
		t.Errorf("%v, %q", e, out.String())
	}
}

// A guard takes no more than it must: the last words stay in the fifo.
func TestRelieve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	w, err := makeFifo(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := openFifo(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	f := func(what string, took, over bool) {
		t.Helper()
		if gotTook, gotOver := relieve(r); gotTook != took || gotOver != over {
			t.Errorf("%s: %v, %v; want %v, %v", what, gotTook, gotOver, took, over)
		}
	}
	f("empty", false, false)
	_, _ = w.Write(make([]byte, 16<<10))
	f("a quarter", false, false)
	_, _ = w.Write(append(make([]byte, 40<<10), "last words"...))
	f("nearly full", true, false)
	f("a quarter is left", false, false)

	write(t, path+".no", "", 0o600)
	if f, err := openFifo(path + ".no"); f != nil || err == nil {
		t.Errorf("a file is a fifo: %v", err)
	}
	reader, err := openFifo(path)
	if err != nil || !tryLock(reader) {
		t.Fatal("no lock:", err)
	}
	f("an agent reads it", false, true)
	reader.Close()
	f("the agent is gone", false, false)
	w.Close()
	f("nobody writes", false, false)
	if left, err := io.ReadAll(r); err != nil || len(left) != 16<<10 || !strings.HasSuffix(string(left), "last words") {
		t.Errorf("%d bytes are left, %v", len(left), err)
	}
}
