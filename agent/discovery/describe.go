package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/agent/trust"
	"github.com/pacewire/pacewire/internal/process"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	maxAnswer = 256 << 10 // bytes of a manifest
	maxWords  = 4 << 10   // bytes of stderr that are kept for the reason
)

// describe asks a program what it is. What fails for want of time or memory is passing: it may work the next time.
func (f *Finder) describe(ctx context.Context, args []string) (m telemetry.Manifest, passing bool, err error) {
	answer, words := newHead(maxAnswer), newHead(maxWords)
	words.patient = true
	p, err := process.Start(process.Command{
		Args: append(slices.Clone(args), "--describe"), Env: environ(), Dir: "/",
		Stdout: answer, Stderr: words, OnParentDeath: syscall.SIGKILL,
	})
	if err != nil {
		return m, true, err
	}
	p.Stdin().Close()
	passing, fault := f.await(ctx, p, answer)
	p.Terminate(0)
	<-p.Done()
	exit := p.Exit()
	switch {
	case fault != nil:
		return m, passing, fault
	case exit.Code != 0:
		return m, exit.Signal != "", fmt.Errorf("--describe ends with %v%s", exit, words.last())
	}
	m, err = f.manifest(answer.text)
	return m, false, err
}

// await waits for the end of a program, or for a reason to end it.
func (f *Finder) await(ctx context.Context, p *process.Process, answer *head) (passing bool, fault error) {
	timer := time.NewTimer(f.o.Timeout)
	defer timer.Stop()
	select {
	case <-p.Done():
	case <-answer.full:
		return false, errTooLong
	case <-timer.C:
		return true, fmt.Errorf("--describe has not ended within %v", f.o.Timeout)
	case <-ctx.Done():
		return true, ctx.Err()
	}
	select {
	case <-answer.full: // it has ended since
		return false, errTooLong
	default:
		return false, nil
	}
}

var errTooLong = fmt.Errorf("--describe prints more than %d bytes", maxAnswer)

// manifest reads the answer.
func (f *Finder) manifest(text []byte) (telemetry.Manifest, error) {
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("{")) {
		text = trimmed
	}
	if len(text) == 0 {
		return telemetry.Manifest{}, errors.New("--describe prints nothing: a plugin prints its manifest")
	}
	m, _, err := telemetry.DecodeManifest(text)
	if err != nil {
		return telemetry.Manifest{}, fmt.Errorf("--describe prints no manifest: %w", err)
	}
	return m, f.usable(m)
}

// usable says why a manifest is not that of a plugin which the agent could run.
func (f *Finder) usable(m telemetry.Manifest) error {
	name := regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	switch {
	case !slices.Contains([]string{"collector", "processor", "publisher"}, m.Kind):
		return fmt.Errorf("manifest: kind is %q, want collector, processor or publisher", m.Kind)
	case !name.MatchString(m.Program):
		return fmt.Errorf("manifest: program is %q, want a-z, 0-9, _ and -, at most 63, a letter or digit first", m.Program)
	case f.o.API != 0 && m.API != f.o.API:
		return fmt.Errorf("manifest: api is %d, this agent speaks %d: install a version of %s for it", m.API, f.o.API, m.Program)
	}
	return nil
}

// self is how a program introduces itself.
func self(m telemetry.Manifest) string {
	return fmt.Sprintf("%s %s (api %d)", m.Kind, m.Program, m.API)
}

// isBusy reports whether the file is open for writing.
func isBusy(err error) bool { return errors.Is(err, trust.ErrBusy) || errors.Is(err, syscall.ETXTBSY) }

// environ is what a program is given that has no config yet.
func environ() (env []string) {
	for _, name := range []string{"PATH", "LANG", "TZ"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// A head keeps the first bytes that are written to it.
type head struct {
	limit   int
	patient bool          // takes the rest and throws it away, instead of ending the pipe
	full    chan struct{} // closed when there was more
	text    []byte
	over    bool
}

func newHead(limit int) *head { return &head{limit: limit, full: make(chan struct{})} }

func (h *head) Write(p []byte) (int, error) {
	room := h.limit - len(h.text)
	h.text = append(h.text, p[:min(room, len(p))]...)
	if len(p) > room && !h.over {
		h.over = true
		close(h.full)
	}
	if h.over && !h.patient {
		return 0, errTooLong
	}
	return len(p), nil
}

// last returns the last line, after a colon, if there is one.
func (h *head) last() string {
	lines := strings.Split(strings.TrimSpace(string(h.text)), "\n")
	line := strings.ToValidUTF8(strings.TrimSpace(lines[len(lines)-1]), "\uFFFD")
	if line == "" {
		return ""
	}
	const enough = 200
	return fmt.Sprintf(": %.*q", enough, line)
}
