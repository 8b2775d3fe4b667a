package e2e

import (
	"encoding/json"
	"syscall"
	"testing"
)

// SIGUSR2 announces that another agent takes the place of this one: it drains and ends well, also when a SIGTERM follows, and the
// hub knows why.
func TestLeaveForUpgrade(t *testing.T) {
	t.Parallel()
	first := up(t, "host: first\npublish: { file: { use: lines, from: send, path: points.lp } }\n")
	n, _ := first.note()
	p := newPlace(t)
	p.write("pacewire.yaml", "host: second\nbus: { urls: "+n.URL+", creds_file: "+n.Creds+" }\n"+
		"collect: { own: { use: host, every: 200ms, only: [load] } }\npublish: { own_file: { use: lines, from: own, path: points.lp } }\n")
	f := func(reason string, signals ...syscall.Signal) {
		t.Helper()
		second := p.start("agent", "-c", "pacewire.yaml")
		second.awaitRunning()
		is := func(state, reason string) bool {
			r := first.verb("host", "info", "second", "-o", "json")
			var h struct{ State, Reason string }
			return r.code == 0 && json.Unmarshal([]byte(r.out), &h) == nil && h.State == state && (reason == "" || h.Reason == reason)
		}
		second.await(readyWithin, "the hub sees it", func() bool { return is("UP", "") })
		for _, s := range signals {
			if err := second.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
		if code := second.exit(endWithin); code != 0 {
			t.Errorf("%v: exit code %d", signals, code)
		}
		first.await(readyWithin, "it has left for "+reason, func() bool { return is("LEFT", reason) })
	}
	f("upgrade", syscall.SIGUSR2)
	f("upgrade", syscall.SIGUSR2, syscall.SIGTERM)
	f("shutdown", syscall.SIGTERM)
	first.drain()
}
