package execd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
)

// A batch is done with when it is read, and not before.
func TestGive(t *testing.T) {
	p := start(t, "read -r go; exec cat >/dev/null")
	done := make(chan error, 1)
	go func() { done <- p.Give(t.Context(), []byte(strings.Repeat("x", 100))) }() // read takes it byte by byte, and waits for its end
	await(t, "the begin is read", func() bool { return p.Unread() == 0 })
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := p.Give(t.Context(), []byte("\n"+strings.Repeat(strings.Repeat("x", 99)+"\n", 100_000))); err != nil { // ten times what a pipe holds
		t.Error(err)
	}
	if n := p.Unread(); n != 0 {
		t.Errorf("%d bytes are not read", n)
	}
}

// What becomes of a batch that a program does not read to its end depends on whether it has begun to.
func TestGiveFails(t *testing.T) {
	big := strings.Repeat("line n=1\n", 1<<18)
	f := func(name, script, text string, limit time.Duration, refused bool, says string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, script)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := p.Give(ctx, []byte(text))
			if err == nil || !strings.Contains(err.Error(), says) || plugin.IsRefused(err) != refused {
				t.Errorf("%v, refused %v; want %q, %v", err, plugin.IsRefused(err), says, refused)
			}
			select {
			case <-p.Gone():
			default:
				t.Error("the program lives")
			}
		})
	}
	f("deaf", "exec sleep 1000", "a n=1\n", 100*time.Millisecond, false, errDeaf.Error())
	f("halted", "kill -STOP $$", "a n=1\n", 100*time.Millisecond, false, errDeaf.Error())
	f("deaf, and much to read", "exec sleep 1000", big, 100*time.Millisecond, false, errDeaf.Error())
	f("deaf, and loud", "exec yes", "a n=1\n", 100*time.Millisecond, false, errFull.Error()) // what it prints nobody takes here
	f("ends", "sleep 0.1; exit 4", "a n=1\n", plenty, false, "exit code 4")
	f("ends within", "read -r line; echo E! bad line >&2; exit 4", big, plenty, true, "exit code 4: E! bad line")
	f("closes its input", "exec <&-; sleep 1000", big, plenty, false, errClosed.Error())
}

// One that has begun to read when its time is over is not given the same again.
func TestGiveLate(t *testing.T) {
	p := start(t, "read -r line; echo begun; exec sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = p.Read(make([]byte, 16))
		cancel()
	}()
	if err := p.Give(ctx, []byte(strings.Repeat("line n=1\n", 1<<18))); !plugin.IsRefused(err) || !errors.Is(err, errDeaf) {
		t.Errorf("%v", err)
	}
}
