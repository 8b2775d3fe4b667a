package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// hostileConfig has a plugin that counts, and four that are after it.
const hostileConfig = `host: h1
every: 200ms
collect:
  victim: { run: [FOREIGN] }
  gocollector: { run: [HOSTILE, collector] RUNAS }
  pycollector: { run: [python3, PYTHON, collector] }
process:
  goprocessor: { run: [HOSTILE, processor], from: victim }
  pyprocessor: { run: [python3, PYTHON, processor], from: victim }
publish: { file: { use: lines, from: victim, path: points.lp } }
`

var thieves = []string{"gocollector", "pycollector", "goprocessor", "pyprocessor"}

// nobody is who a hostile plugin is run as, where the test may.
const nobody = "nobody"

// Each thing that a hostile plugin tries is refused as it must be, in Go and in Python, and the others notice nothing.
func TestHostilePlugin(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("testdata/hostile/hostile.py")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Fatal("this test needs python3: install it")
	}
	program, counter := foreign(t, "hostile"), foreign(t, "foreign")
	p := newPlace(t)
	runAs := ""
	if os.Geteuid() == 0 {
		runAs = ", run_as: " + nobody
		p.open()
	}
	config := strings.NewReplacer("FOREIGN", counter, "HOSTILE", program, "PYTHON", script, " RUNAS", runAs).Replace(hostileConfig)
	s := p.start("up", "--plain", p.write("pacewire.yaml", config))
	s.awaitRunning()
	before := s.now()

	for _, name := range thieves {
		s.tried(name)
	}
	s.undisturbed(before)
	s.awaitLog("bad request", `"rule":"body"`, `"rule":"responder"`, `"rule":"subject"`, "id was used by another publisher")
	for _, name := range thieves {
		s.awaitLog(`user:h1_`+name+`\" - Publish Violation`, `user:h1_`+name+`\" - Subscription Violation`)
	}
	s.keepsOut(program, script)

	s.do("plugin", "unload", "goprocessor", "pyprocessor")
	s.awaitRunning()
	after := s.now()
	for _, name := range []string{"victim", "file"} {
		if after[name].PID != before[name].PID {
			t.Errorf("%s was %+v and is %+v", name, before[name], after[name])
		}
	}
	s.drain()
}

// open lets other users pass the folders of a place, as they may those of an agent that is installed.
func (p place) open() {
	p.t.Helper()
	for _, dir := range []string{filepath.Dir(p.dir), p.dir} {
		if err := os.Chmod(dir, 0o711); err != nil {
			p.t.Fatal(err)
		}
	}
}

// tried checks what a thief tells of its attempts.
func (s *system) tried(name string) {
	s.t.Helper()
	came := s.outcomes(name)
	f := func(want string, attempts ...string) {
		s.t.Helper()
		for _, attempt := range attempts {
			list, tried := came[attempt]
			if !tried || slices.ContainsFunc(list, func(outcome string) bool { return !strings.Contains(outcome, want) || want == "" && outcome != "" }) {
				s.t.Errorf("%s: %s: %q, want %q", name, attempt, list, want)
			}
			delete(came, attempt)
		}
	}
	const publish, subscribe = "Permissions Violation for Publish to ", "Permissions Violation for Subscription to "
	f(publish, "publish as another plugin", "beat as another plugin", "command another plugin", "command the agent", "publish into another's inbox")
	f(subscribe, "subscribe to everything", "subscribe to another's inbox", "subscribe to another's commands", "subscribe to the agent's commands", "subscribe to all points")
	f("", "deputy: publish", "deputy: heartbeat", "done") // the bus lets it pass: victim and agent do not
	if strings.HasSuffix(name, "collector") {
		f(publish, "publish as another host", "next of another's consumer", "deputy: next message")
	} else {
		f("", "deputy: next message", "take a batch id")
	}
	if name == "gocollector" && os.Geteuid() == 0 {
		f("permission denied", "credentials of another")
	} else {
		s.t.Logf("%s runs as the agent's user, and so %s the credentials of another", name, came["credentials of another"])
		f("read", "credentials of another")
	}
	for variable := range strings.FieldsSeq(came["environment"][0]) {
		if strings.HasPrefix(name, "py") {
			continue // python3 may be a script, which adds to it
		}
		if !strings.HasPrefix(variable, "PACEWIRE_") && !slices.Contains([]string{"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}, variable) {
			s.t.Errorf("%s sees %s in its environment", name, variable)
		}
	}
	delete(came, "environment")
	if len(came) > 0 {
		s.t.Errorf("%s tried what nobody has judged: %v", name, came)
	}
}

// outcomes waits until a thief has tried everything, and returns what came of it.
func (s *system) outcomes(name string) map[string][]string {
	s.t.Helper()
	var came map[string][]string
	s.await(readyWithin, name+" has tried everything", func() bool {
		came = map[string][]string{}
		for _, line := range lines(s.t, s.path("state/plugins/"+name+"/outcomes")) {
			var one struct{ Attempt, Outcome string }
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				s.t.Fatalf("%s tells %q: %v", name, line, err)
			}
			came[one.Attempt] = append(came[one.Attempt], one.Outcome)
		}
		return came["done"] != nil
	})
	return came
}

// undisturbed checks that the victim goes on and that every count of it arrives, and no forged point.
func (s *system) undisturbed(before map[string]plugin) {
	s.t.Helper()
	had := len(lines(s.t, s.path("points.lp")))
	s.await(readyWithin, "more points of the victim", func() bool { return len(lines(s.t, s.path("points.lp"))) > had+10 })
	seen, last := map[int]bool{}, 0
	for _, line := range lines(s.t, s.path("points.lp")) {
		var value int
		_, after, ok := strings.Cut(line, "value=")
		if _, err := fmt.Sscanf(after, "%di", &value); !ok || err != nil || !strings.HasPrefix(line, "count,") {
			s.t.Errorf("a point that is not the victim's: %s", line)
			continue
		}
		seen[value], last = true, max(last, value)
	}
	for i := 1; i <= last; i++ {
		if !seen[i] {
			s.t.Errorf("of %d points of the victim number %d is missing", last, i)
		}
	}
	s.t.Logf("%d points of the victim, none is missing", last)
	s.untouched(before)
}

// keepsOut checks that a credential is worth nothing after the end of its plugin, and before it only to who may read it.
func (s *system) keepsOut(program, script string) {
	s.t.Helper()
	n, _ := s.note()
	at, err := url.Parse(n.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, again := range map[string][]string{"gocollector": {program}, "pycollector": {"python3", script}} {
		file := s.credsOf(name)
		var stolen struct{ User, Password string }
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &stolen)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		closed := make(chan struct{})
		rawConn(s.t, at.String(), nats.UserInfo(stolen.User, stolen.Password), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))

		s.do("plugin", "unload", name)
		select {
		case <-closed:
		case <-time.After(readyWithin):
			s.t.Errorf("%s is unloaded, and a connection by its credentials is open", name)
		}
		out, err := exec.Command(again[0], append(again[1:], "again", at.String(), stolen.User, stolen.Password)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Authorization Violation") {
			s.t.Errorf("by the credentials of %s, which is unloaded: %v, %s", name, err, out)
		}
		if _, err := os.Stat(file); err == nil {
			s.t.Errorf("%s is left", file)
		}
	}
	if os.Geteuid() != 0 {
		s.t.Log("INCOMPLETE: without root no plugin can be run as another user, who could not read the credentials of others")
		return
	}
	cat := exec.Command("cat", s.credsOf("victim"))
	cat.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cat.CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
		s.t.Errorf("another user reads the credentials of the victim: %v, %s", err, out)
	}
}

// credsOf is the file with the credentials of a plugin.
func (s *system) credsOf(name string) string {
	s.t.Helper()
	files, err := filepath.Glob(s.path("run/creds/h1_" + name + "-*.json"))
	if err != nil || len(files) != 1 {
		s.t.Fatalf("credentials of %s: %v, %v", name, files, err)
	}
	return files[0]
}
