package execd

import (
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// Every plugin listens to SIGHUP: its programs would not hear one that was ignored when it began, as under nohup.
func TestMain(m *testing.M) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	leaktest.Main(m)
}

func TestConform(t *testing.T) {
	plugintest.Conform(t, Define())
	plugintest.Conform(t, Define(), plugintest.With(`{"command": ["cat"], "trigger": "newline"}`)) // which prints nothing that a catalog would name
}

// A live is a collector of a script on a real bus.
type live struct {
	*testing.T
	agent   *plugintest.Agent
	process *plugintest.Process
}

// start starts one that is to speak ten times a second. more are settings besides, as JSON: "name": value, ...
func start(t *testing.T, script, more string) live {
	t.Helper()
	l := live{T: t, agent: plugintest.NewAgent(t, bustest.New(t).URL, "web-1")}
	l.agent.Interval = 50 * time.Millisecond
	text, err := json.Marshal(script)
	if err != nil {
		t.Fatal(err)
	}
	config := `{"restart_delay": "10ms", "flush": "0s", "command": ["sh", "-c", ` + string(text) + `]` + more + `}`
	l.agent.Give("count", telemetry.Work{EveryMS: 100, Config: []byte(config)})
	l.process = l.agent.Start(t, Define(), "count")
	return l
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// stats waits for a heartbeat whose counters are as wanted.
func (l live) stats(what string, ok func(s *telemetry.Stats) bool) {
	l.Helper()
	plugintest.Until(l, what, func() bool {
		s := l.agent.Last("count").Stats
		return s != nil && ok(s)
	})
}

// points waits for so many points.
func (l live) points(n uint64) {
	l.Helper()
	l.stats("points", func(s *telemetry.Stats) bool { return s.PointsOut >= n })
}

// told waits for a heartbeat with an error that says something.
func (l live) told(what string) {
	l.Helper()
	plugintest.Until(l, "a heartbeat that says "+what, func() bool {
		h := l.agent.Last("count")
		return h.Error != nil && strings.Contains(h.Error.Message, what)
	})
}

// ends makes a script end with its input that does not read it.
const ends = "exec 3<&0; (cat <&3 >/dev/null; kill $$) & "

// Each trigger makes a program speak that waits for it.
func TestTriggers(t *testing.T) {
	f := func(trigger, script string) {
		t.Run(trigger, func(t *testing.T) {
			t.Parallel()
			start(t, script, `, "trigger": "`+trigger+`"`).points(3)
		})
	}
	f(none, ends+"while :; do echo count n=1; sleep 0.05; done")
	f(newline, "while read -r _; do echo count n=1; done")
	for name := range signals { // it is slow to listen: a signal before would be its end
		f(name, ends+"sleep 0.3; trap 'echo count n=1' "+strings.TrimPrefix(name, "SIG")+"; while :; do sleep 0.1; done")
	}
}

// A program that does not read its triggers is told of, and its points come all the same.
func TestDeaf(t *testing.T) {
	t.Parallel()
	l := start(t, "while :; do echo count n=1; sleep 0.05; done", `, "trigger": "newline"`)
	l.told("trigger: the program has not read it within 1s")
	l.points(3)
}

// A program that has closed its input can be told nothing, and may speak all the same.
func TestClosed(t *testing.T) {
	t.Parallel()
	l := start(t, "exec <&-; while :; do echo count n=1; sleep 0.05; done", `, "trigger": "newline"`)
	l.told("trigger: the program has closed its input")
	l.points(3)
}

// A program that falls silent is started again, where the operator says what that is.
func TestSilence(t *testing.T) {
	t.Parallel()
	l := start(t, "echo count n=1; exec cat", `, "silence": "200ms"`)
	l.points(2)
	l.told("the program has printed nothing for 200ms (it is started again in")
}

// A line that is too long costs itself.
func TestLongLine(t *testing.T) {
	t.Parallel()
	l := start(t, "head -c 2097152 /dev/zero | tr '\\0' x; echo; echo count n=1; exec cat", "")
	l.points(1)
	l.stats("the long line is counted", func(s *telemetry.Stats) bool { return s.Dropped["line"] == 1 })
}

// What is wrong within an output costs itself, and is counted by reason.
func TestRubbish(t *testing.T) {
	t.Parallel()
	l := start(t, "echo rubbish; echo count n=1,m=NaN; echo; printf '\\377\\376 \\n'; echo count n=2; exec cat", "")
	l.stats("all is counted", func(s *telemetry.Stats) bool {
		return s.PointsOut == 2 && s.Dropped["line"] == 2 && s.Dropped["nan"] == 1
	})
}

// With stop_on_error a program that fails stays away.
func TestStopOnError(t *testing.T) {
	t.Parallel()
	l := start(t, "echo count n=1; exit 3", `, "stop_on_error": true`)
	plugintest.Until(t, "it has failed", func() bool { return l.agent.Last("count").State == "failed" })
	l.told("exit code 3 (stop_on_error")
}

// A program that closes its output and lives on can say nothing any more: it is ended, and another one started.
func TestMute(t *testing.T) {
	t.Parallel()
	l := start(t, "echo count n=1; exec >&-; read -r _", "")
	l.told("the program has closed its output, and lives on")
	l.points(2)
}

// What a program that ends has begun to print does not count: half a number is a number, too.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	l := start(t, "echo count n=1; printf 'count n=12'", `, "restart_delay": "1h"`)
	l.stats("the half line is counted", func(s *telemetry.Stats) bool { return s.PointsOut == 1 && s.Dropped["unfinished"] == 1 })
}

// Megabytes without an end are one line, whether its end comes or that of the program.
func TestEndless(t *testing.T) {
	t.Parallel()
	l := start(t, "head -c 20000000 /dev/zero", `, "restart_delay": "1h"`)
	l.told("exit code 0 (it is started again in 1h0m0s)")
	l.stats("it is counted", func(s *telemetry.Stats) bool { return s.Dropped["line"] == 1 })
}

// Lines on standard error without number cost nobody anything: the points come all the same.
func TestLoud(t *testing.T) {
	t.Parallel()
	l := start(t, "yes 'E! no disk' | head -c 20000000 >&2; head -c 20000000 /dev/zero >&2; echo count n=1; exec cat", "")
	l.points(1)
}

// What a program leaves behind in a session of its own, with its output open, ends with it.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	l := start(t, "setsid sh -c 'echo $$ >"+file+"; exec sleep 1000' & while ! [ -s "+file+" ]; do sleep 0.01; done; echo count n=1; exit 3", `, "restart_delay": "1h"`)
	l.told("exit code 3 (it is started again in 1h0m0s)")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if command, _ := os.ReadFile("/proc/" + strings.TrimSpace(string(text)) + "/cmdline"); len(command) > 0 { // who was killed has none
		t.Errorf("process %s lives: %s", text, command)
	}
}
