package process

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/pacewire/pacewire/internal/texttest"
)

// A signal reaches the process alone, once it has an ear for it.
func TestPoke(t *testing.T) {
	var out texttest.Buffer
	p := start(t, Command{Args: []string{"sh", "-c", `sleep 60 & trap "echo poked" USR1; echo up; while :; do wait; done`}, Stdout: &out})
	eventually(t, "the script is up", func() bool { return strings.Contains(out.String(), "up\n") })
	if err := p.Poke(syscall.SIGUSR2); !errors.Is(err, ErrUnheeded) {
		t.Errorf("a signal without an ear: %v", err)
	}
	for range 2 { // the sleep would end of the first
		poked := strings.Count(out.String(), "poked")
		if err := p.Poke(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it was poked", func() bool { return strings.Count(out.String(), "poked") > poked })
	}
	if left := childrenOf(p.PID()); len(left) != 1 || left[0].dead {
		t.Errorf("its children are %+v", left)
	}
	p.Terminate(0)
	ended(t, p)
	if err := p.Poke(syscall.SIGUSR1); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("after the end: %v", err)
	}
}

func TestNoEars(t *testing.T) {
	if heeds(1<<30, syscall.SIGHUP) {
		t.Error("there is no such process")
	}
}
