package journal

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestLevels(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		for _, stream := range []string{"stdout", "stderr"} {
			if got := levelName(Read(stream, []byte(line)).Level); got != want && want != stream {
				t.Errorf("%s: %s on %s, want %s", line, got, stream, want)
			}
		}
	}
	f(`{"time":"2026-01-02T03:04:05Z","level":"WARN","msg":"late"}`, "warn")
	f(`{"level":"INFO+2","msg":"late"}`, "info")
	f(`{"level":"DEBUG-4","msg":"late"}`, "debug")
	f(`{"severity":"CRITICAL","message":"late"}`, "error")
	f(`{"level":50,"msg":"pino"}`, "error")
	f(`{"level":20,"msg":"pino"}`, "debug")
	f(`{"level":true,"msg":"what"}`, "info")
	f(`  {"level":"error","msg":"indented"}  `, "error")
	f("E! [inputs.cpu] no", "error")
	f("2026-01-02T03:04:05Z W! [agent] slow", "warn")
	f("2026-01-02T03:04:05Z D! [agent] wakes", "debug")
	f("T! trace", "debug")
	f("I! info", "info")
	f("ERROR no file", "error")
	f("ERROR:root:no file", "error")
	f("WARNING: disk", "warn")
	f("Warning: disk", "warn")
	f("[WARN] disk", "warn")
	f("[error]: disk", "error")
	f("<error> disk", "error")
	f("error: disk", "error")
	f("2026/01/02 03:04:05 [error] 12#0: open", "error")
	f("2026-01-02 03:04:05,123 - root - ERROR - open", "error")
	f("2026-01-02 03:04:05.123 UTC [99] FATAL:  role", "error")
	f("2026-01-02 03:04:05,123 INFO  [main] begins", "info")
	f("[2026-01-02 03:04:05] DEBUG begins", "debug")
	f("E0102 03:04:05.678901       1 file.go:2] open", "error")
	f("I0102 03:04:05.678901       1 file.go:2] open", "info")
	f("W0102 03:04:05.678901       1 file.go:2] open", "warn")
	f("\x1b[31mERROR\x1b[0m no file", "error")
	f("\x1b[33m[WARN]\x1b[0m no file", "warn")
	f("<3>no disk", "error")
	f("<0>no disk", "error")
	f("<4>no disk", "warn")
	f("<6>disk", "info")
	f("<7>disk", "debug")
	f(`level=error msg="no disk"`, "error")
	f(`ts=2026-01-02T03:04:05Z caller=x.go:1 level=debug msg=on`, "debug")
	f(`time="2026-01-02" level="warning" msg=on`, "warn")
	f(`a=1 lvl=eror`, "error")
	// Not marks of a level:
	for _, line := range []string{"", " ", "no error at all", "error opening it", "Fatal attraction", "xlevel=error", "level=high", "GET /error", "[5] ERROR", "<8>text",
		"<3", "X0102 text", "E01x2 text", `{"level":"error"}`, `{"level":"error","msg":5}`, `{"level":"error","msg":"m"} and more`, "{", "the ERROR word"} {
		if r := Read("stdout", []byte(line)); r.Level != slog.LevelInfo {
			t.Errorf("%q: %v", line, r.Level)
		}
		if r := Read("stderr", []byte(line)); r.Level != slog.LevelWarn {
			t.Errorf("%q: %v on stderr", line, r.Level)
		}
	}
}

// What a program prints to stderr when it dies is one error of many lines.
func TestTraces(t *testing.T) {
	f := func(text string, want string) {
		t.Helper()
		j := New(0)
		var got []string
		for line := range strings.Lines(text) {
			got = append(got, j.Add(time.Now(), 1, "stderr", []byte(strings.TrimSuffix(line, "\n"))).Level[:1])
		}
		if levels := strings.Join(got, ""); levels != want {
			t.Errorf("%s\n%s, want %s", text, levels, want)
		}
	}
	f("begins\npanic: no\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\nexit status 2", "weeeeee")
	f("fatal error: all goroutines are asleep\n\ngoroutine 1", "eee")
	f("Traceback (most recent call last):\n  File \"a\", line 1\n    x = 1\nValueError: no\nnext", "eeeew")
	f("INFO reads\n  from here\n  and there\nnext", "iiiw")
	f("ERROR no\n\tat a.B\nINFO on", "eei")
	f("thread 'main' panicked at a.rs:1:\nno", "ew")
	f("Exception in thread \"main\" java.lang.X\n\tat a.B(C.java:1)", "ee")
	f("panic: no\nINFO in spite of it\nnext", "eiw")
	f("  indented from the start", "w")
}

// Two processes print at a time while one takes over from the other.
func TestTraceIsOfOneProcess(t *testing.T) {
	j := New(0)
	f := func(pid int, stream, line, want string) {
		t.Helper()
		if got := j.Add(time.Now(), pid, stream, []byte(line)); got.Level != want {
			t.Errorf("%s of %d: %s, want %s", line, pid, got.Level, want)
		}
	}
	f(1, "stderr", "panic: no", "error")
	f(1, "stdout", "text", "info")
	f(1, "stderr", "goroutine 1", "error")
	f(2, "stderr", "begins", "warn")
}

func TestText(t *testing.T) {
	f := func(line, text, whole string) {
		t.Helper()
		r := Read("stderr", []byte(line))
		if r.Text() != text || r.String() != whole {
			t.Errorf("%s: %q and %q, want %q and %q", line, r.Text(), r.String(), text, whole)
		}
	}
	f(`{"time":"2026-01-02T03:04:05Z","level":"WARN","msg":"it is late","plugin":"host","seconds":3,"error":"no"}`,
		"it is late error=no seconds=3", "warn: it is late error=no seconds=3")
	f(`{"msg":"short\u001b"}`, "short\uFFFD", "short\uFFFD")
	f(`{"msg":"m","n":1000000,"f":0.5,"x":{"b":[1,"\u0007"]},"k\u001b":null}`,
		`m f=0.5 k`+"\uFFFD"+`=<nil> n=1000000 x={"b":[1,"\u0007"]}`, `m f=0.5 k`+"\uFFFD"+`=<nil> n=1000000 x={"b":[1,"\u0007"]}`)
	f(`{"not":"a log"}`, `{"not":"a log"}`, `{"not":"a log"}`)
	f("no licence\x07", "no licence\uFFFD", "no licence\uFFFD")
	f("<3>no disk", "no disk", "no disk")
	f("\x1b[1;31mbold\x1b[0m \x1b]0;title\x07", "bold \uFFFD]0;title\uFFFD", "bold \uFFFD]0;title\uFFFD")
	f("\x1b[\x01m", "\uFFFD[\uFFFDm", "\uFFFD[\uFFFDm")
	f("\x1b[31", "\uFFFD[31", "\uFFFD[31")
	f(`{"msg":"two\nlines"}`, "two↵lines", "two↵lines")
	f("tab\tand \xff bytes", "tab and \uFFFD bytes", "tab and \uFFFD bytes")
	f("\u202eturned\u2066\u2028", "\uFFFDturned\uFFFD\uFFFD", "\uFFFDturned\uFFFD\uFFFD")
	f("日本 ümläut", "日本 ümläut", "日本 ümläut")
}

func TestLogTo(t *testing.T) {
	f := func(line string, want map[string]any) {
		t.Helper()
		var out bytes.Buffer
		Read("stderr", []byte(line)).LogTo(slog.New(slog.NewJSONHandler(&out, nil)), "p")
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		delete(got, "time")
		if len(got) != len(want) {
			t.Errorf("%s: %v", line, got)
		}
		for key, v := range want {
			if got[key] != v {
				t.Errorf("%s: %s is %v, want %v", line, key, got[key], v)
			}
		}
	}
	f("plain", map[string]any{"level": "WARN", "msg": "plugin printed", "plugin": "p", "line": "plain"})
	f("E! no", map[string]any{"level": "ERROR", "msg": "plugin printed", "plugin": "p", "line": "E! no"})
	f(`{"level":"INFO","msg":"read","n":3,"plugin":"forged"}`, map[string]any{"level": "INFO", "msg": "read", "plugin": "p", "n": 3.0})
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", "E! x", `{"level":"warn","msg":"m","a":{"b":1}}`, "<3>x", "\x1b[31mx\x1b[0m", "level=", "E0102 x", "2026-01-02 [x] ERROR", "\xff\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, text := range []string{Read("stderr", line).Text(), New(0).Add(time.Now(), 1, "stderr", line).Text} {
			if len(text) > maxText || !utf8.ValidString(text) || Printable(text) != text {
				t.Errorf("%q", text)
			}
		}
	})
}
