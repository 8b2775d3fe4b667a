package child

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestReason(t *testing.T) {
	f := func(script, want string, code int) {
		t.Helper()
		r, err := Run(t.Context(), Spec{Command: Shell(script), Env: Environ(os.Environ())}, nil, 0, 0)
		if err != nil || r.Reason() != want || r.Exit.Code != code {
			t.Errorf("%s: %q, %v, %v; want %q and %d", script, r.Reason(), r.Exit, err, want, code)
		}
	}
	f("exit 3", "", 3)
	f("true", "", 0)
	f("/no/such/program", NotFound, 127)
	f("/", NotExecutable, 126)
	f("kill -SEGV $$", Signalled, -1)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r, err := Run(ctx, shell("sleep 3600"), nil, 0, 0); err != nil || r.Reason() != TimedOut {
		t.Errorf("%q, %v", r.Reason(), err)
	}
}

func TestReasonOf(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("echo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("echo\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := func(program, user, want string) {
		t.Helper()
		_, err := Run(t.Context(), Spec{Command: []string{program}, User: user}, nil, 0, 0)
		if got := ReasonOf(err); err == nil || got != want {
			t.Errorf("%s: %q, %v; want %q", program, got, err, want)
		}
	}
	f("no-such-program-anywhere", "", NotFound)
	f("/no/such/program", "", NotFound)
	f(plain, "", NotExecutable)
	f(text, "", NotExecutable)
	f("true", "no-such-user-anywhere", "")
}
