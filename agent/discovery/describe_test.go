package discovery

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each program that is no plugin is listed with the reason.
func TestUnusable(t *testing.T) {
	b := newBench(t, 1, Options{API: 1, Timeout: 30 * time.Second})
	print := func(text string) string { return "#!/bin/sh\ncat <<'.'\n" + text + "\n.\n" }
	cases := map[string]struct{ script, want string }{
		"garbage":  {print("hello"), "prints no manifest"},
		"half":     {print(`{"kind":"collector","program":`), "prints no manifest"},
		"log":      {print("starting\n" + manifest("log")), "prints no manifest"},
		"twice":    {print(manifest("twice") + manifest("twice")), "prints no manifest"},
		"zeros":    {"#!/bin/sh\nhead -c 1000 /dev/zero\n", "prints no manifest"},
		"nothing":  {"#!/bin/sh\n", "prints nothing"},
		"closed":   {"#!/bin/sh\nexec >&-\n", "prints nothing"},
		"large":    {"#!/bin/sh\nexec head -c 10000000 /dev/zero\n", "prints more than 262144 bytes"},
		"endless":  {"#!/bin/sh\nexec yes\n", "prints more than 262144 bytes"},
		"deaf":     {"#!/bin/sh\ntrap '' PIPE\nyes 2>/dev/null\nsleep 60\n", "prints more than 262144 bytes"},
		"exit":     {"#!/bin/sh\necho usage: exit FILE >&2\nexit 64\n", `ends with exit code 64: "usage: exit FILE"`},
		"signal":   {"#!/bin/sh\nkill -9 $$\n", "ends with signal SIGKILL"},
		"answered": {plugin("answered") + "exit 1\n", "ends with exit code 1"},
		"kind":     {print(strings.Replace(manifest("kind"), "collector", "agent", 1)), `kind is "agent"`},
		"name":     {print(manifest("../x")), `program is "../x"`},
		"api":      {print(strings.Replace(manifest("api"), `"api":1`, `"api":2`, 1)), "api is 2, this agent speaks 1"},
		"loader":   {"#!/absent/interpreter\n", "no such file"},
		"format":   {"\x7fELFjunk", "exec format error"},
	}
	for name, c := range cases {
		b.put(t, "a/"+name, c.script, 0o755)
	}
	all := b.Scan(t.Context())
	if len(all) != len(cases) {
		t.Errorf("%d programs, want %d", len(all), len(cases))
	}
	for _, p := range all {
		if want := cases[p.Name].want; p.State != Unusable || !strings.Contains(p.Reason, want) {
			t.Errorf("%s is %s: %s; want %s", p.Name, p.State, p.Reason, want)
		}
	}
}

// A plugin is asked with little environment, no input, and as a group of its own.
func TestHowItIsAsked(t *testing.T) {
	b := newBench(t, 1, Options{})
	t.Setenv("SECRET", "1")
	t.Setenv("TZ", "UTC")
	t.Setenv("LANG", "C")
	b.put(t, "a/fan", plugin("fan")+"{ tr '\\0' '\\n' </proc/$$/environ; pwd; cat; ps -o pgid= -p $$ 2>/dev/null || echo $$; } >"+b.dir+"/seen\necho $$ >"+b.dir+"/pid\n", 0o755)
	b.want(t, b.Scan(t.Context()), "a/fan available fan")
	text, err := os.ReadFile(b.dir + "/seen")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := os.ReadFile(b.dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(text))
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "PATH", "LANG", "TZ", "PACEWIRE_MARK", "/", strings.TrimSpace(string(pid)):
		default:
			t.Errorf("it sees %s", line)
		}
	}
	if len(lines) != 6 {
		t.Errorf("it sees %q", lines)
	}
}

// Who hangs is ended at the deadline with all that was started, and keeps two at most from being asked.
func TestHangs(t *testing.T) {
	b := newBench(t, 1, Options{Timeout: 5 * time.Second})
	pids := b.dir + "/pids"
	note := "echo $$ >>" + pids + "\n"
	b.put(t, "a/ignores", "#!/bin/sh\n"+note+"trap '' TERM\nwhile :; do sleep 60; done\n", 0o755)
	b.put(t, "a/leaves", "#!/bin/sh\n"+note+"setsid sh -c 'echo $$ >>"+pids+"; exec sleep 60' &\nwait\n", 0o755)
	b.put(t, "a/stopped", "#!/bin/sh\n"+note+"kill -STOP $$\n", 0o755)
	b.put(t, "a/daemon", plugin("daemon")+note+"(sleep 60 & echo $! >>"+pids+")\n", 0o755)
	b.put(t, "a/zfan", plugin("zfan"), 0o755)
	begin := time.Now()
	all := b.Scan(t.Context())
	b.want(t, all, "a/daemon available daemon", "a/ignores unusable ignores", "a/leaves unusable leaves", "a/stopped unusable stopped", "a/zfan available zfan")
	for _, p := range all[1:4] {
		if p.Reason != "--describe has not ended within 5s" {
			t.Errorf("%s: %s", p.Path, p.Reason)
		}
	}
	t.Logf("took %v", time.Since(begin))
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(string(text))
	if len(list) != 6 {
		t.Errorf("INVALID: pids %v, want 6", list)
	}
	for _, word := range list {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "process "+word+" is gone", func() bool { return dead(pid) })
	}
}

func dead(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(text), ") Z ")
}

// No more than two are asked at a time.
func TestAtOnce(t *testing.T) {
	b := newBench(t, 1, Options{})
	lock := b.dir + "/tmp/lock"
	for _, name := range []string{"one", "two", "three", "four", "five", "six"} {
		script := strings.Replace(plugin(name), "#!/bin/sh\n", "#!/bin/sh\nmkdir "+lock+"1 2>/dev/null && l=1 || { mkdir "+lock+"2 && l=2; } || exit 3\nsleep 0.1\n", 1)
		b.put(t, "a/"+name, script+"rmdir "+lock+"$l\n", 0o755)
	}
	for _, p := range b.Scan(t.Context()) {
		if p.State != Available {
			t.Errorf("%s: %s", p.Path, p.Reason)
		}
	}
}

// A scan that is called off says nothing of those that were not asked.
func TestCalledOff(t *testing.T) {
	b := newBench(t, 1, Options{})
	b.put(t, "a/fan", plugin("fan"), 0o755)
	b.put(t, "a/hangs", plugin("hangs")+"while :; do sleep 60; done\n", 0o755)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	begin := time.Now()
	b.want(t, b.Scan(ctx), "a/fan available fan", "a/hangs busy hangs")
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("took %v", took)
	}
	b.put(t, "a/hangs", plugin("hangs"), 0o755)
	b.want(t, b.Scan(t.Context()), "a/fan available fan", "a/hangs available hangs")
}
