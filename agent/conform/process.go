package conform

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/process"
)

// running is a process of a plugin.
type running struct {
	*process.Process
	inst  string
	began time.Time
	words *tail
}

// passed are the names of the environment that every plugin gets, as from an agent.
var passed = []string{"PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// environ returns what every process gets.
func (k *kit) environ() []string {
	var env []string
	for _, name := range passed {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, k.o.Env...)
}

// start starts the next process of the plugin.
func (w *ward) start() error {
	dir := w.dir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder for state: %w", err)
	}
	creds, err := w.g.grant(bus.Token(w.name), w.user(), rights(w.kit.kind(), w.name, w.in))
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	r := &running{inst: strings.ToLower(rand.Text())[:16], words: &tail{}, began: time.Now()}
	env := append(w.kit.environ(), "PACEWIRE_BUS="+w.g.url(), "PACEWIRE_HOST="+hostName, "PACEWIRE_PLUGIN="+w.name,
		"PACEWIRE_DIR="+dir, "PACEWIRE_INST="+r.inst, "PACEWIRE_CREDS="+creds)
	r.Process, err = process.Start(process.Command{
		Args: w.kit.o.Command, Env: env, Stdout: r.words, Stderr: r.words, OnParentDeath: syscall.SIGKILL,
	})
	if err != nil {
		return cannotStart(w.kit.o.Command, err)
	}
	w.mu.Lock()
	w.proc = r
	w.mu.Unlock()
	return nil
}

func cannotStart(command []string, err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: there is no command %q: check its path and spelling", ErrCommand, command[0])
	}
	if errors.Is(err, syscall.ENOEXEC) {
		return fmt.Errorf("%w: %s cannot be run: it has no line #! with its interpreter, or is of another machine", ErrCommand, command[0])
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: %s is not executable: chmod +x it, or name its interpreter before it", ErrCommand, command[0])
	}
	return fmt.Errorf("%w: %w", ErrCommand, err)
}

// ended reports whether the process has ended; who was never started has.
func (r *running) ended() bool {
	if r == nil {
		return true
	}
	select {
	case <-r.Done():
		return true
	default:
		return false
	}
}

// exit says how it ended.
func (r *running) exit() string {
	if r == nil {
		return "no start"
	}
	return r.Exit().String()
}

// lastWords is what it printed last, as the end of a sentence.
func (r *running) lastWords() string {
	if r == nil {
		return ""
	}
	lines := r.words.lines()
	if len(lines) == 0 {
		return ", and said nothing"
	}
	return ", and said " + cut(lines[len(lines)-1], 200)
}

// wait waits for the end, and reports whether it came in time.
func (r *running) wait(ctx context.Context, limit time.Duration) bool {
	select {
	case <-r.Done():
		return true
	case <-ctx.Done():
		return false
	case <-time.After(limit):
		return false
	}
}

// kill ends it and all it started, at once.
func (w *ward) kill() {
	if w.proc.ended() {
		return
	}
	_ = w.proc.Signal(syscall.SIGKILL) // the only error is that it has ended
	w.proc.wait(context.Background(), 10*time.Second)
}

// stderr returns what the process has printed.
func (w *ward) stderr() []string {
	if w.proc == nil {
		return nil
	}
	return w.proc.words.lines()
}

const (
	tailLines = 12
	tailBytes = 8 << 10
)

// tail keeps the last of what a process prints.
type tail struct {
	most int // bytes at least; 0: tailBytes

	mu   sync.Mutex
	text []byte
}

// Write never fails: an error would close the pipe of the process.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if most := cmp.Or(t.most, tailBytes); len(t.text) > 2*most {
		t.text = slices.Delete(t.text, 0, len(t.text)-most)
	}
	return len(p), nil
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(t.text) {
		if text := strings.ToValidUTF8(strings.TrimRight(string(line), "\r\n"), "\uFFFD"); text != "" {
			lines = append(lines, cut(text, 400))
		}
	}
	return lines[max(0, len(lines)-tailLines):]
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.text)
}
