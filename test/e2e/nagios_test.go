package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pacewire/pacewire/internal/servertest"
)

// checkFolder is where Debian has its checks.
const checkFolder = "/usr/lib/nagios/plugins"

// A check is one of a config.
type check struct {
	Command    []string `json:"command"`
	Every      string   `json:"every,omitempty"`
	Timeout    string   `json:"timeout,omitempty"`
	Attempts   int      `json:"attempts,omitempty"`
	RetryEvery string   `json:"retry_every,omitempty"`
}

// upChecks runs checks on a machine that speaks German, so often unless they say otherwise, and returns when they are at work.
func upChecks(t *testing.T, p place, every string, list map[string]check) *system {
	t.Helper()
	writeChecks(t, p, every, list)
	cmd := p.command(context.Background(), "up", "--plain", p.path("pacewire.yaml"))
	cmd.Env = append(cmd.Env, "LC_ALL=de_DE.UTF-8", "LANG=de_DE.UTF-8")
	s := p.launch(cmd, "up")
	s.awaitRunning()
	return s
}

// writeChecks writes the config that runs checks.
func writeChecks(t *testing.T, p place, every string, list map[string]check) {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"collect": map[string]any{"checks": map[string]any{"use": "nagios", "checks": list, "defaults": map[string]any{"every": every, "attempts": 1, "retry_every": "1s"}}},
		"publish": map[string]any{
			"file":  map[string]any{"use": "lines", "from": "checks", "path": "points.lp"},
			"pager": map[string]any{"use": "lines", "on": []string{"check_state"}, "path": "events.lp"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.write("pacewire.yaml", string(text))
}

// said returns what a check has said, as line protocol: its points of one series.
func (s *system) said(series, check string) (points []string) {
	s.t.Helper()
	for _, line := range lines(s.t, s.path("points.lp")) {
		if tags, _, _ := strings.Cut(line, " "); strings.HasPrefix(tags, series+",") && strings.Contains(tags+",", ",check="+check+",") {
			points = append(points, line)
		}
	}
	return points
}

// says waits until a check has said something more than before times.
func (s *system) says(check string, before int) {
	s.t.Helper()
	s.await(readyWithin, check+" says something", func() bool { return len(s.said("check_state", check)) > before })
}

// saysIt waits until a point of a check says each of some texts. On a busy machine the first may tell that there was no time.
func (s *system) saysIt(check string, texts ...string) {
	s.t.Helper()
	says := func(point string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(point, text) })
	}
	s.await(readyWithin, fmt.Sprintf("%s says %q", check, texts), func() bool {
		return slices.ContainsFunc(s.said("check_state", check), says)
	})
}

// Twenty checks of Debian's run in one process, and what they find arrives.
func TestNagiosChecks(t *testing.T) {
	t.Parallel()
	servertest.Program(t, checkFolder+"/check_dummy", "monitoring-plugins-basic")
	p := newPlace(t)
	file := p.write("watched", "hello\n")
	at := func(program, greeting string) []string {
		return []string{program, "-H", "127.0.0.1", "-p", strconv.Itoa(greeter(t, greeting))}
	}
	hello := func(command []string) check { return check{Command: command} }
	list := map[string]check{
		"dummy":    {Command: []string{"check_dummy", "0", "all is well"}},
		"load":     {Command: []string{"check_load", "-w", "9000,9000,9000", "-c", "9999,9999,9999"}},
		"disk":     {Command: []string{"check_disk", "-w", "1", "-c", "1", "-p", "/"}},
		"procs":    {Command: []string{"check_procs", "-w", "900000", "-c", "999999"}},
		"users":    {Command: []string{"check_users", "-w", "9000", "-c", "9999"}},
		"file_age": {Command: []string{"check_file_age", "-w", "900000", "-c", "999999", "-f", file}},
		"log":      {Command: []string{"check_log", "-F", file, "-O", p.path("watched.old"), "-q", "nothing"}},
		"cluster":  {Command: []string{"check_cluster", "--service", "-l", "web", "-d", "0,0"}},
		"negate":   {Command: []string{"negate", checkFolder + "/check_dummy", "2", "inverted"}},
		"urlize":   {Command: []string{"urlize", "http://127.0.0.1/", checkFolder + "/check_dummy", "1", "linked"}},
		"tcp":      hello(at("check_tcp", "anything")),
		"ssh":      hello(at("check_ssh", "SSH-2.0-OpenSSH_9.2\r\n")),
		"smtp":     hello(at("check_smtp", "220 mail ESMTP\r\n")),
		"ftp":      hello(at("check_ftp", "220 ready\r\n")),
		"pop":      hello(at("check_pop", "+OK ready\r\n")),
		"imap":     hello(at("check_imap", "* OK ready\r\n")),
		"nntp":     hello(at("check_nntp", "200 ready\r\n")),
		"http":     hello(at("check_http", "HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")),
		"udp":      {Command: []string{"check_udp", "-H", "127.0.0.1", "-p", strconv.Itoa(echo(t)), "-s", "ping", "-e", "ping"}},
		"nt":       {Command: []string{"check_nt", "-H", "127.0.0.1", "-p", "1", "-v", "UPTIME"}},
		"unknown":  {Command: []string{"check_dummy", "3", "nobody knows"}},
		"locale":   {Command: []string{"sh", "-c", `echo "$LC_ALL $LANG $PACEWIRE_BUS $PACEWIRE_CREDS."`}},
	}
	s := upChecks(t, p, "3s", list)
	states := map[string]int{"http": 1, "urlize": 1, "nt": 2, "unknown": 3} // the others are 0
	for name := range list {
		s.saysIt(name, fmt.Sprintf(",state=%di,", states[name]), "perf_errors=0i")
	}
	s.saysIt("locale", `text="C.UTF-8   ."`)
	for name, labels := range map[string]int{"load": 3, "disk": 1, "procs": 1, "users": 1, "file_age": 2, "tcp": 1, "http": 2} {
		if n := len(s.said("nagios_perf", name)); n < labels {
			t.Errorf("%s has %d items, want %d", name, n, labels)
		}
	}
	s.drain()
}

// greeter is a server that says a greeting to whoever comes, a web server when it is asked, and goodbye to all that is said to it.
func greeter(t *testing.T, greeting string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	talk := func(c net.Conn) {
		defer c.Close()
		text := make([]byte, 1500)
		if strings.HasPrefix(greeting, "HTTP") {
			_, _ = c.Read(text)
			_, _ = io.WriteString(c, greeting)
			return
		}
		for _, err := io.WriteString(c, greeting); err == nil; _, err = io.WriteString(c, "221 goodbye\r\n") {
			if n, _ := c.Read(text); n == 0 {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go talk(c)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// echo is a server that sends back each datagram.
func echo(t *testing.T) (port int) {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		text := make([]byte, 1500)
		for {
			n, from, err := l.ReadFrom(text)
			if err != nil {
				return
			}
			_, _ = l.WriteTo(text[:n], from)
		}
	}()
	return l.LocalAddr().(*net.UDPAddr).Port
}

// A change of a hard state raises one event: where a problem has to last, where the plugin is killed as soon as there is something to tell,
// and where the check is taken out of the config.
func TestNagiosEvents(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := func(code string) {
		t.Helper()
		if err := os.Rename(p.write("code.new", code+"\n"), p.path("code")); err != nil {
			t.Fatal(err)
		}
	}
	set("0")
	list := map[string]check{
		"door":  {Command: []string{"sh", "-c", "read code <" + p.path("code") + "; echo code $code; exit $code"}, Attempts: 3},
		"other": {Command: []string{"true"}},
	}
	s := upChecks(t, p, "1s", list)
	s.says("door", 0)
	set("2")
	s.toldOf("OK>CRITICAL")
	set("1")
	s.kill("checks")
	s.toldOf("OK>CRITICAL", "CRITICAL>WARNING")
	set("0")
	s.kill("checks")
	s.toldOf("OK>CRITICAL", "CRITICAL>WARNING", "WARNING>OK")
	s.says("door", len(s.said("check_state", "door"))+2)
	s.toldOf("OK>CRITICAL", "CRITICAL>WARNING", "WARNING>OK")
	set("2")
	s.toldOf("OK>CRITICAL", "CRITICAL>WARNING", "WARNING>OK", "OK>CRITICAL")
	delete(list, "door")
	writeChecks(t, p, "1s", list)
	s.do("reload")
	s.toldOf("OK>CRITICAL", "CRITICAL>WARNING", "WARNING>OK", "OK>CRITICAL", "CRITICAL>REMOVED")
	s.await(readyWithin, "who listens to events has them", func() bool { return len(lines(t, s.path("events.lp"))) >= 5 })
	for _, line := range lines(t, s.path("events.lp")) {
		contains(t, "an event", line, "event,", "check=door", "type=check_state", "plugin=checks", "door is ")
	}
	s.drain()
}

// toldOf waits until the events of the checks are as many as wanted, and checks that they are these.
func (s *system) toldOf(want ...string) {
	s.t.Helper()
	var told []string
	s.await(readyWithin, fmt.Sprintf("events %q", want), func() bool {
		told = nil
		for line := range strings.Lines(s.do("events", "--plugin", "checks", "--type", "check_state", "-o", "json")) {
			var v struct{ From, To string }
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				s.t.Fatal(err)
			}
			told = append(told, v.From+">"+v.To)
		}
		return len(told) >= len(want)
	})
	if !slices.Equal(told, want) {
		s.t.Errorf("events %q, want %q", told, want)
	}
}

// A check that hangs, with a process that has left its group and is deaf, leaves none, and neither does one with a process that has left its
// environment too; and none is left of one that runs when the plugin is killed.
func TestNagiosHangs(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	script := p.write("hang", `echo $$ >>pids; trap '' TERM; setsid sh -c 'trap "" TERM; echo $$ >>pids; while :; do sleep 1000; done' & wait`)
	hides := p.write("hide", "env -i setsid sh -c 'echo $$ >>hidden; exec sleep 1000' & until [ -s hidden ]; do sleep 0.1; done")
	s := upChecks(t, p, "1s", map[string]check{
		"hang": {Command: []string{"sh", "-c", "cd " + p.dir + "; . " + script}, Timeout: "1s"},
		"hide": {Command: []string{"sh", "-c", "cd " + p.dir + "; . " + hides}},
	})
	s.saysIt("hang", "timed_out=true", `reason="timed_out"`, "state=3i")
	pidsIn := func(name string) (list []int) {
		for _, line := range lines(t, filepath.Join(p.dir, name)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
				list = append(list, pid)
			}
		}
		return list
	}
	pids := func() []int { return pidsIn("pids") }
	s.await(readyWithin, "who hides ends with the check", func() bool {
		hidden := pidsIn("hidden")
		return len(hidden) > 0 && !alive(hidden[0])
	})
	for _, pid := range pids()[:2] {
		if alive(pid) {
			t.Errorf("process %d of the first run is left", pid)
		}
	}
	had := len(pids())
	s.await(readyWithin, "it runs again", func() bool { return len(pids()) >= had+2 })
	if err := syscall.Kill(s.now()["checks"].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.drain()
	await(t, readyWithin, "no process is left", func() bool { return !slices.ContainsFunc(pids(), alive) })
}
