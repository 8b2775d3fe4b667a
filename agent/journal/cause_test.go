package journal

import "testing"

func TestCause(t *testing.T) {
	f := func(line, want string, whole bool) {
		t.Helper()
		if got, is := Cause(line); got != want || is != whole {
			t.Errorf("%s: %q, %v; want %q, %v", line, got, is, want, whole)
		}
	}
	f(`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"bus connected","plugin":"host"}`, "", false)
	f(`{"level":"DEBUG","msg":"wakes"}`, "", false)
	f(`{"msg":"no level"}`, "", false)
	f(`{"time":"2026-01-02T03:04:05Z","level":"ERROR","msg":"cannot begin","error":"open /x: no such file","line":7}`, "cannot begin: open /x: no such file", true)
	f(`{"level":"error","msg":"cannot begin","err":"no disk"}`, "cannot begin: no disk", true)
	f(`{"level":"WARN","msg":"late"}`, "late", false)
	f(`{"level":"ERROR","msg":"no disk","error":"no disk"}`, "no disk", true)
	f(`time=2026-01-02T03:04:05Z level=INFO msg="bus connected"`, "", false)
	f(`time=2026-01-02T03:04:05Z level=ERROR msg="cannot begin" plugin=x error="open \"/x\": no such file" n=7`, `cannot begin: open "/x": no such file`, true)
	f(`level=error msg=stops`, "stops", true)
	f(`level=error caller=x.go:1 said`, `level=error caller=x.go:1 said`, true)
	f(`level=error msg="not closed`, `level=error msg="not closed`, true)
	f("config: unknown key", "config: unknown key", false)
	f("panic: boom", "panic: boom", true)
	f("2026-01-02 03:04:05 INFO begins", "", false)
	f("2026-01-02 03:04:05 ERROR no file", "2026-01-02 03:04:05 ERROR no file", true)
	f("x = y", "x = y", false)
	f("", "", false)
}
