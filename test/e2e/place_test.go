package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	verbWithin = 5 * time.Minute
	operates   = "4m" // what an agent does may take as long, where a verb does not say otherwise: one as long as a busy machine needs
)

// patient gives a verb that waits for what an agent does more time than its default.
func patient(args []string) []string {
	n := 1
	if args[0] == "plugin" && len(args) > 1 && slices.Contains([]string{"start", "stop", "restart", "load", "unload", "swap", "upgrade"}, args[1]) {
		n = 2
	}
	if n == 1 && args[0] != "reload" || slices.Contains(args, "--timeout") {
		return args
	}
	return slices.Insert(slices.Clone(args), n, "--timeout", operates)
}

// A place is a folder with the state, the run folder and the files of one test.
type place struct {
	t   testing.TB
	dir string
}

func newPlace(t testing.TB) place {
	t.Helper()
	return place{t, t.TempDir()}
}

// path returns the path of a file of the place.
func (p place) path(name string) string { return filepath.Join(p.dir, name) }

// write makes a file and returns its path.
func (p place) write(name, text string) string {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return p.path(name)
}

// command is the program with args, in this place and with nothing of our environment that it could trip over.
func (p place) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, binary, args...)
	c.Dir = p.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "PACEWIRE_STATE=" + p.path("state"), "PACEWIRE_RUN=" + p.path("run")}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test binary that is killed has no Cleanup
	return c
}

// A result is what a verb printed and how it ended.
type result struct {
	out, err string
	code     int
}

// verb runs the program to its end.
func (p place) verb(args ...string) result {
	p.t.Helper()
	return p.verbWith("", args...)
}

// verbWith is verb with text on standard input.
func (p place) verbWith(stdin string, args ...string) result {
	p.t.Helper()
	return p.begin(stdin, args...)()
}

// begin starts the program; end waits for its end.
func (p place) begin(stdin string, args ...string) (end func() result) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), verbWithin)
	c := p.command(ctx, patient(args)...)
	var out, err bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &err
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	return func() result {
		p.t.Helper()
		defer cancel()
		_ = c.Wait() // the code tells
		if ctx.Err() != nil {
			p.t.Fatalf("pacewire %s does not end:\n%s%s", strings.Join(args, " "), tail(out.String()), tail(err.String()))
		}
		return result{out.String(), err.String(), c.ProcessState.ExitCode()}
	}
}

// do is verb for what has to succeed.
func (p place) do(args ...string) string {
	p.t.Helper()
	r := p.verb(args...)
	if r.code != 0 {
		p.t.Fatalf("pacewire %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.err)
	}
	return r.out
}

// A note is what a running agent leaves in its run folder.
type note struct {
	URL, Creds, Host string
	PID              int
}

// note reads it; ok is false while there is none of an agent that runs.
func (p place) note() (n note, ok bool) {
	text, err := os.ReadFile(filepath.Join(p.dir, "run", "agent.json"))
	return n, err == nil && json.Unmarshal(text, &n) == nil && alive(n.PID)
}

// A plugin is one as plugin list shows it.
type plugin struct {
	Name, State, Reason string
	PID                 int
	Restarts            int
}

// plugins asks for them; nil while nobody answers.
func (p place) plugins() map[string]plugin {
	p.t.Helper()
	if _, ok := p.note(); !ok {
		return nil
	}
	r := p.verb("plugin", "list", "-o", "json")
	var list []plugin
	if r.code != 0 || json.Unmarshal([]byte(r.out), &list) != nil {
		return nil
	}
	byName := map[string]plugin{}
	for _, one := range list {
		byName[one.Name] = one
	}
	return byName
}
