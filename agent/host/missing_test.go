package host

import (
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// A plugin whose program is not there is refused, and nobody else minds. One that works goes on when its file is away.
func TestMissing(t *testing.T) {
	r := rigged(t, pair)
	s := settings(t, pair)
	s.Plugins[0].Missing = "there is no program numbers"
	if st := r.h.step(r.h.plan(s, s.Plugins[0], "numbers")); st.action != telemetry.ChangeNone || !strings.Contains(st.reason, "there is no program numbers") {
		t.Errorf("for one that works: %+v", st)
	}

	s.Plugins[0].Name = "absent"
	e := r.h.entry(r.h.plan(s, s.Plugins[0], "absent"))
	if _, err := e.now.each(); err == nil || e.now.refused != "there is no program numbers" {
		t.Errorf("%v, refused %q", err, e.now.refused)
	}
}

// Asking whether a program could be started says nothing of the process that runs: it would be refused with its next heartbeat.
func TestMayStart(t *testing.T) {
	r := rigged(t, pair)
	i := r.h.find("numbers").current()
	i.entry.set(func() { i.plan.conf.Missing = "there is no program numbers" })
	if err := i.mayStart(); err == nil || !strings.Contains(err.Error(), "there is no program numbers") {
		t.Errorf("error %v", err)
	}
	if s := r.status("numbers"); s.State != running || i.refused != "" {
		t.Errorf("%+v, refused %q", s, i.refused)
	}
}
