package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// A beating is a host as host list and host info show it; the last two in info alone.
type beating struct {
	Host, State, Reason string

	Items uint64 `json:"inv_n"`
	Held  uint64 `json:"inv_held"`
}

// listed returns a host as host list shows it; its zero value while it is not there.
func (s *system) listed(id string) (found beating) {
	r := s.verb("host", "list", "-o", "json")
	var list []beating
	if r.code != 0 || json.Unmarshal([]byte(r.out), &list) != nil {
		return found
	}
	for _, h := range list {
		if h.Host == id {
			found = h
		}
	}
	return found
}

// A script that was written from the page of the protocol alone is a host like the others: UP, its inventory held, and LEFT when it says goodbye.
func TestSecondClient(t *testing.T) {
	t.Parallel()
	s := up(t, `
collect: { host: { only: [load] } }
publish: { file: { use: lines, from: all, path: points.lp } }
`)
	n, ok := s.note()
	if !ok {
		t.Fatal("the agent has left no note")
	}
	script, err := filepath.Abs("../beat.py")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("python3", script, "--bus", n.URL, "--creds", n.Creds, "--host", "demo", "--interval", "1") // an operator's: may beat as anybody
	c.Stdout, c.Stderr = t.Output(), t.Output()
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait() // it was killed
		}
	})
	s.await(readyWithin, "the script is a host that is up", func() bool { return s.listed("demo").State == telemetry.HostUp })
	s.await(readyWithin, "its inventory is held", func() bool {
		var h beating
		r := s.verb("host", "info", "demo", "-o", "json")
		return r.code == 0 && json.Unmarshal([]byte(r.out), &h) == nil && h.Items == 2 && h.Held == 2
	})
	s.do("host", "refresh", "demo")
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, c); code != 0 {
		t.Errorf("it ended with exit code %d", code)
	}
	s.await(readyWithin, "the script has left", func() bool {
		h := s.listed("demo")
		return h.State == telemetry.HostLeft && h.Reason == "shutdown"
	})
	s.drain()
}
