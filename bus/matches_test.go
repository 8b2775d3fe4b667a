package bus

import "testing"

func TestMatches(t *testing.T) {
	f := func(pattern, subject string, want bool) {
		t.Helper()
		if got := matches(pattern, subject); got != want {
			t.Errorf("matches(%q, %q) = %v", pattern, subject, got)
		}
	}
	f("pw.hb.h.*.htb", "pw.hb.h.cpu.htb", true)
	f("pw.hb.h.*.htb", "pw.hb.h.cpu.plg", false)
	f("pw.hb.h.*.htb", "pw.hb.x.cpu.htb", false)
	f("pw.hb.h.*", "pw.hb.h.cpu.htb", false)
	f("pw.hb.h.*.htb", "pw.hb.h.cpu", false)
	f("pw.log.>", "pw.log.h.cpu", true)
	f("pw.log.>", "pw.log", false)
	f("pw.log.>", "pw.ctl.h.cpu", false)
	f("pw.hub.get", "pw.hub.get", true)
}
