package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/journal"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// journaled answers logs out of a journal.
func journaled(j *journal.Journal) answer {
	return func(args map[string]any) (any, *telemetry.Fault) {
		number := func(key string) uint64 {
			n, _ := args[key].(int64)
			return uint64(n)
		}
		return j.Page(number("after"), int(number("tail")), 0), nil
	}
}

// lines puts numbered lines in a journal.
func lines(j *journal.Journal, from, to int) {
	for i := from; i <= to; i++ {
		j.Add(time.Unix(int64(i), 0), 42, "stdout", fmt.Appendf(nil, "line %d", i))
	}
}

func TestLogs(t *testing.T) {
	j := journal.New(1 << 20)
	_, run := agentOf(t, map[string]answer{"logs": journaled(j)})
	expect(t, run("plugin", "logs", "x"), 0)
	lines(j, 1, 1200) // three pages
	f := func(args string, first, last, count int) {
		t.Helper()
		r := run(append([]string{"plugin", "logs", "x"}, strings.Fields(args)...)...)
		got := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
		if r.code != 0 || len(got) != count || !strings.HasSuffix(got[0], fmt.Sprint(" INFO  42  line ", first)) || !strings.HasSuffix(got[count-1], fmt.Sprint("  line ", last)) {
			t.Errorf("%s: exit code %d, %d lines from %q to %q, %s", args, r.code, len(got), got[0], got[len(got)-1], r.err)
		}
	}
	f("", 1151, 1200, 50)
	f("-n 3", 1198, 1200, 3)
	f("-n 800", 401, 1200, 800)
	f("-n 9999", 1, 1200, 1200)
	if r := run("plugin", "logs", "x", "-n", "0"); r.code != 0 || r.out != "" {
		t.Errorf("%+v", r)
	}
	expect(t, run("plugin", "logs", "x", "-n", "-1"), exitUsage, "want 0 or more")
	expect(t, run("plugin", "logs", "x", "--level", "loud"), exitUsage, "want debug, info, warn or error")
}

// The last lines of a level may stand above many that do not count.
func TestLogsOfLevel(t *testing.T) {
	j := journal.New(1 << 20)
	_, run := agentOf(t, map[string]answer{"logs": journaled(j)})
	j.Add(time.Now(), 7, "stderr", []byte("ERROR first"))
	j.Note(slog.LevelWarn, "it has ended: exit code 1")
	j.Add(time.Now(), 8, "stderr", []byte(`{"level":"DEBUG","msg":"begins"}`))
	lines(j, 1, 700)
	expect(t, run("plugin", "logs", "x", "--level", "warn"), 0, "ERROR 7  ERROR first\n", "WARN  agent  it has ended: exit code 1\n", "!line", "!begins")
	expect(t, run("plugin", "logs", "x", "--level", "error", "-n", "1"), 0, "first", "!ended")
	expect(t, run("plugin", "logs", "x", "--level", "debug", "-n", "1000"), 0, "DEBUG 8  begins\n")
}

func TestLogsAsJSON(t *testing.T) {
	j := journal.New(0)
	_, run := agentOf(t, map[string]answer{"logs": journaled(j)})
	l := j.Add(time.Unix(5, 6), 7, "stderr", []byte("no <disk>"))
	r := run("plugin", "logs", "x", "-o", "json")
	var got printed
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if want := (printed{time.Unix(5, 6).UTC(), l.Seq, "stderr", "warn", 7, "no <disk>"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if keys := []string{"time", "seq", "stream", "level", "pid", "text"}; strings.Count(r.out, `":`) != len(keys) {
		t.Errorf("%s", r.out)
	}
}

func TestFollow(t *testing.T) {
	j := journal.New(1 << 20)
	agentOf(t, map[string]answer{"logs": journaled(j)})
	lines(j, 1, 3)
	out, errs, stop := background(t, "plugin", "logs", "x", "-f", "-n", "1")
	shown := func(text string) {
		t.Helper()
		bustest.Wait(t, soon, text, func() bool { return strings.Contains(out.String(), text) })
	}
	shown("line 3")
	lines(j, 4, 900) // two pages, and a new process
	j.Note(slog.LevelInfo, "started")
	j.Add(time.Now(), 43, "stdout", []byte("hello"))
	shown("43  hello")
	if code := stop(); code != 0 || errs.String() != "" {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
	if n := strings.Count(out.String(), "\n"); n != 900 || strings.Contains(out.String(), "line 2\n") {
		t.Errorf("%d lines", n)
	}
}

func TestFollowTellsLoss(t *testing.T) {
	j := journal.New(4096)
	agentOf(t, map[string]answer{"logs": journaled(j)})
	lines(j, 1, 1)
	out, errs, _ := background(t, "plugin", "logs", "x", "-f")
	bustest.Wait(t, soon, "first line", func() bool { return strings.Contains(out.String(), "line 1\n") })
	lines(j, 2, 1000)
	bustest.Wait(t, soon, "last line", func() bool { return strings.Contains(out.String(), "line 1000\n") })
	if !strings.Contains(errs.String(), " lines are lost: newer ones pushed them out") {
		t.Errorf("%q", errs.String())
	}
}

// An agent that starts again has another bus and another journal; who follows goes on.
func TestFollowOverRestartOfAgent(t *testing.T) {
	place(t)
	first := bustest.Bare(t, embedded.Options{})
	old := journal.New(0)
	noted(t, first.URL, "")
	agent := respond(t, first, "h1", map[string]answer{"logs": journaled(old)})
	lines(old, 1, 20)
	out, errs, stop := background(t, "plugin", "logs", "x", "-f")
	bustest.Wait(t, soon, "old lines", func() bool { return strings.Contains(out.String(), "line 20\n") })
	agent.stop()
	first.Stop(t)
	bustest.Wait(t, soon, "it waits", func() bool { return strings.Contains(errs.String(), "the agent does not answer; waiting for it") })
	second := bustest.Bare(t, embedded.Options{})
	next := journal.New(0)
	next.Add(time.Now(), 50, "stdout", []byte("of the new agent"))
	respond(t, second, "h1", map[string]answer{"logs": journaled(next)})
	noted(t, second.URL, "")
	bustest.Wait(t, soon, "new lines", func() bool { return strings.Contains(out.String(), "of the new agent") })
	if code := stop(); code != 0 || strings.Count(errs.String(), "waiting for it") != 1 || !strings.Contains(errs.String(), "the agent answers again") {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
	if strings.Contains(errs.String(), "lost") || strings.Count(out.String(), "\n") != 21 {
		t.Errorf("%s%s", out.String(), errs.String())
	}
}

// A plugin that is unloaded ends who follows it, but not at once: an agent that starts may not know it yet.
func TestFollowUnloaded(t *testing.T) {
	a := &app{err: os.Stderr}
	f := &follower{app: a}
	err := exitWith(exitUsage, &refused{telemetry.Fault{Code: telemetry.FaultNotFound, Message: "none"}})
	if f.bear(err) != nil {
		t.Error("it ends at once")
	}
	f.gone = time.Now().Add(-goneFor)
	if f.bear(err) == nil {
		t.Error("it does not end")
	}
	if denied := exitWith(exitConfig, &refused{telemetry.Fault{Code: telemetry.FaultDenied, Message: "no"}}); f.bear(denied) == nil {
		t.Error("it goes on when it is denied")
	}
}

func TestLineText(t *testing.T) {
	l := telemetry.LogLine{Time: 0, Stream: "agent", Level: "error", Text: "x\x1b[2J"}
	got := lineText(l, true)
	if !strings.Contains(got, "\x1b[31mERROR\x1b[0m agent  x\uFFFD[2J") {
		t.Errorf("%q", got)
	}
}
