package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// A config that cannot be is refused with 78, and everything that is wrong is said at once: where, what, and the way out.
func TestRefusedConfig(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	f := func(config string, parts ...string) {
		t.Helper()
		r := p.verb("up", "--plain", p.write("pacewire.yaml", config))
		if r.code != 78 {
			t.Errorf("exit code %d for\n%s\n%s", r.code, config, r.err)
		}
		contains(t, "the refusal", r.err, parts...)
		if strings.Contains(r.err, "pacewire runs") {
			t.Errorf("it ran before it was refused:\n%s", r.err)
		}
	}
	const file = "publish: { file: { use: lines, from: host } }\n"
	f("evry: 5s\ncollect: { host: { onyl: [cpu] } }\n"+file, //nolint:misspell // it is the mistake
		"pacewire.yaml:1:1: ", "unknown key evry", "did you mean every?", "pacewire.yaml:2:", "onyl", "did you mean only?", "^") //nolint:misspell // it is the mistake
	f("every: [5s]\ncollect: { host: { only: cpu, mount_timeout: soon } }\n"+file, "pacewire.yaml:1:8: every", "mount_timeout", "soon")
	f("collect: { host: }\nprocess: { a: { use: filter, from: b }, b: { use: filter, from: [host, a] } }\n"+file,
		"pacewire.yaml:2:", "a reads b reads a", "remove one of these from:")
	f("collect: { host: }\npublish: { file: { use: lines, from: hots } }\n", "pacewire.yaml:2:38: from: there is no plugin hots", "did you mean host?")
	f("collect: { host: { use: hots } }\n"+file, "pacewire.yaml:1:", "there is no collector program hots", "did you mean host?")
	f("collect: { host: }\nprocess: { hot: { use: filter, from: host, keep: fields.v > } }\npublish: { db: { use: influxdb, from: hot, url: 'ftp://x' } }\n",
		"pacewire.yaml:2:12: hot: keep: ", "fields.v >\n", "^", "pacewire.yaml:3:12: db: url: want http://")
	f("collect: { host: }\nprocess: { both: { use: chain, from: host, steps: [{ use: tag, drop: [a] }, { use: filter, keep: fields.v > }] } }\n"+
		"publish: { file: { use: lines, from: both } }\n", "pacewire.yaml:2:12: both: steps: number 2, filter: keep: ", "fields.v >\n", "^")
	f("collect: { host: { cron: '* * * *' } }\n"+file, "pacewire.yaml:1:26: cron: ", `"* * * *"`, "5 fields", "not 4")
	f("collect: { host: { every: 5s, cron: '0 * * * *' } }\n"+file, "pacewire.yaml:1:27: ", "every and cron exclude each other")
	f("collect: { host: { on_agent_exit: keep } }\n"+file, "pacewire.yaml:1:35: on_agent_exit: ", "the embedded bus ends with the agent", "run a NATS server")
	f("", "sets nothing", "pacewire init")
	f("every: 5s\n", "no plugin", "pacewire init")
}

// A program that is not there keeps nobody else from working; who only checks the config is told of a fault.
func TestMissingProgram(t *testing.T) {
	t.Parallel()
	s := up(t, "collect: { host: { every: 1s }, mine: { run: /no/such/program }, other: { run: nosuchprogram } }\n"+
		"publish: { file: { use: lines, from: host, path: out.lp } }\n", "mine", "other")
	for name, reason := range map[string]string{"mine": "there is no program /no/such/program", "other": "no program nosuchprogram on PATH"} {
		s.awaitPlugin(name, readyWithin, "is refused", func(p plugin) bool { return p.State == "refused" && strings.Contains(p.Reason, reason) })
	}
	r := s.verb("validate", s.path("pacewire.yaml"))
	if r.code != 78 {
		t.Errorf("validate: exit code %d", r.code)
	}
	contains(t, "the check", r.err, "pacewire.yaml:1:", "there is no program /no/such/program", "no program nosuchprogram on PATH", "install it, or write its whole path")
	s.drain()
}

// A config file that cannot be read is named, with the way out.
func TestUnreadableConfig(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	f := func(path string, parts ...string) {
		t.Helper()
		r := p.verb("up", "--plain", path)
		if r.code != 78 {
			t.Errorf("%s: exit code %d", path, r.code)
		}
		contains(t, "the refusal", r.err, append(parts, path)...)
	}
	if err := os.Mkdir(p.path("folder.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	f(p.path("folder.yaml"), "no file of this folder", "*.yaml")
	f(p.path("gone.yaml"), "there is no such file", "pacewire init")
	t.Run("permission", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root may read every file: run the test as another user")
		}
		path := p.write("secret.yaml", "")
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		f(path, "no permission")
	})
}

// A bus that cannot start says what is in its way.
func TestRefusedBus(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := func(bus string, parts ...string) {
		t.Helper()
		r := p.verb("up", "--plain", p.write("pacewire.yaml", "bus: "+bus+"\ncollect: { host: }\npublish: { file: { use: lines, from: host } }\n"))
		if r.code != 78 {
			t.Errorf("bus %s: exit code %d", bus, r.code)
		}
		contains(t, "the refusal", r.err, parts...)
	}
	f(fmt.Sprintf("{ listen: %q }", l.Addr()), l.Addr().String(), "in use", "bus.listen")
	f("{ listen: '0.0.0.0:0' }", "pacewire.yaml:1:16: bus.listen", "0.0.0.0", "127.0.0.1")
	below := p.write("regular", "") + "/store"
	f(fmt.Sprintf("{ store: %q }", below), below, "not a directory", "bus.store")
	f("{ sync: never }", "pacewire.yaml:1:", "never", "always")

	p = newPlace(t)
	p.write("state", "") // the default place of the store, and of what was loaded: below a file
	f("embedded", p.path("state"), "not a directory", "PACEWIRE_STATE")
}
