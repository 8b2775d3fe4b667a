package deps

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// module is the import path before each of our packages.
const module = "github.com/pacewire/pacewire/"

// allowed lists, for each package, the packages of ours that its code may import; the first row that matches decides.
// internal/* may be imported by all. To change the architecture is to change this table in the same commit.
var allowed = []struct{ pkg, may string }{
	{"telemetry", ""},
	{"schemas", ""},
	{"bus", "telemetry"},
	{"bus/embedded", ""},
	{"bus/bustest", "bus bus/embedded"},
	{"plugin", "telemetry bus"},
	{"plugin/plugintest", "telemetry bus plugin"}, // its agent speaks to plugins over a real bus
	{"plugin/shim", "telemetry plugin collector processor publisher"}, // one program of each kind
	{"collector", "telemetry plugin"},
	{"processor", "telemetry plugin"},
	{"publisher", "telemetry plugin"},
	{"*/all", "plugin collector/* processor/* publisher/*"},
	{"publisher/deliverytest", "telemetry bus bus/bustest plugin plugin/plugintest publisher"}, // a pipeline of its own
	{"collector/*", "telemetry plugin collector"},                                              // collectortest too
	{"processor/*", "telemetry plugin processor"},                                              // processortest too
	{"publisher/*", "telemetry plugin publisher"},
	{"agent/supervise", ""},
	{"agent/trust", ""},
	{"agent/discovery", "telemetry agent/trust"},
	{"agent/journal", "telemetry"},
	{"agent/config", "telemetry"},
	{"agent/liveness", "telemetry"}, // the state machine that host and hub share
	{"agent/web", ""},
	{"agent/identity", ""},
	{"agent/recent", "telemetry"},
	{"agent/host", "telemetry bus agent/supervise agent/liveness agent/config agent/journal agent/trust agent/identity"},
	{"agent/uplink", "telemetry bus"},
	{"agent/hub", "telemetry bus agent/liveness agent/config"},
	{"agent/api", "telemetry bus schemas agent/hub agent/recent agent/config agent/web"},   // HTTP apart from what it shows
	{"agent/conform", "telemetry bus bus/embedded schemas agent/supervise agent/liveness"}, // an agent and a bus for one plugin
	{"sdk", ""}, // libraries for other languages, for those who write plugins
	{"internal/fleet", "telemetry bus bus/bustest"},    // its hosts share connections, as only a test's may
	{"internal/lab", "telemetry bus bus/embedded"},     // a bus as a process of its own
	{"internal/execd", "telemetry plugin"},             // what three built-ins of three kinds share
	{"internal/listen", "telemetry plugin"},            // its settings have secrets
	{"internal/decode", "telemetry internal/decode/*"}, // puts the formats together
	{"internal/decode/*", "telemetry"},
	{"internal/*", "telemetry"},
	{"cmd/*", "* */*"},
	{"test/*", "* */*"},
}

// foreign lists the modules of others, the packages whose code may import them, and those whose tests may besides. A module
// without a row is a decision that somebody has to take: what it saves, and what it weighs.
var foreign = []struct{ module, code, tests string }{
	// A plugin's binary is 7 MB without the server and 18 MB with it.
	{"github.com/nats-io/nats-server/v2", "bus/embedded internal/cluster", ""}, // internal/cluster is for tests alone
	{"github.com/nats-io/nats.go", "bus bus/*", "test/*"},
	{"go.yaml.in/yaml/v3", "agent/config collector/scrape", "test/e2e"}, // configs, and files of targets
	{"github.com/google/jsonschema-go", "plugin", ""},
	{"github.com/spf13/cobra", "cmd/*", ""},
	{"github.com/spf13/pflag", "plugin cmd/*", ""},
	{"github.com/lmittmann/tint", "plugin cmd/*", ""},
	{"github.com/expr-lang/expr", "processor/*", ""},
	{"github.com/klauspost/compress", "collector/* publisher/*", "test/*"}, // already with the bus
	{"github.com/fsnotify/fsnotify", "agent/discovery cmd/*", ""},          // inotify and its like elsewhere; needs x/sys alone
	{"github.com/netresearch/go-cron", "internal/schedule", ""},            // 82 kB; the grammar of cron lines, whose instants are ours
	{"golang.org/x/sys", "* */*", ""},
	{"golang.org/x/sync", "* */*", ""},

	// Second opinions and tools of tests.
	{"github.com/santhosh-tekuri/jsonschema/v6", "", "plugin plugin/* internal/* cmd/* test/* schemas telemetry"}, // 1.7 MB in each process that has it
	{"github.com/vmihailenco/msgpack/v5", "", "telemetry bus plugin test/*"},
	{"github.com/influxdata/line-protocol/v2", "", "telemetry test/*"},
	{"github.com/prometheus/procfs", "", "collector/*"},
	{"github.com/prometheus/common", "", "internal/decode/* collector/scrape test/*"},                                     // a second opinion
	{"google.golang.org/protobuf", "collector/otlp internal/protobuf", "collector/* internal/* internal/decode/* test/*"}, // protowire alone, which reflects nothing
	{"go.opentelemetry.io/proto/slim/otlp", "", "collector/* test/*"},
	{"github.com/google/go-cmp", "*/*test", "* */*"},
	{"go.uber.org/goleak", "*/*test", "* */*"},
	{"pgregory.net/rapid", "", "* */*"},
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		if _, ok := mayImport(p.path); !ok {
			t.Errorf("%s has no row in the table of internal/deps: say what it may import", p.path)
			continue
		}
		for _, name := range p.imports {
			if fault := judge(p.path, name); fault != "" {
				t.Error(fault)
			}
		}
		for _, name := range p.testImports {
			if fault := judgeForeign(p.path, name, true); fault != "" {
				t.Error(fault)
			}
		}
	}
}

// judge says what is wrong with code of pkg that imports name, "" if nothing.
func judge(pkg, name string) string {
	ours, ok := strings.CutPrefix(name, module)
	if !ok {
		return judgeForeign(pkg, name, false)
	}
	if may, _ := mayImport(pkg); matches(may, ours) || matches("internal/* internal/decode/*", ours) {
		return ""
	}
	return pkg + " must not import " + ours
}

// judgeForeign says what is wrong with the code or the tests of pkg that import a package of others, "" if nothing.
func judgeForeign(pkg, name string, test bool) string {
	if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") || strings.HasPrefix(name, module) {
		return "" // the standard library, or ours
	}
	for _, row := range foreign {
		if name != row.module && !strings.HasPrefix(name, row.module+"/") {
			continue
		}
		if matches(row.code, pkg) || test && matches(row.tests, pkg) {
			return ""
		}
		return pkg + " must not import " + name
	}
	return pkg + " imports " + name + ", whose module has no row in the table of internal/deps"
}

// mayImport returns what a package may import, and whether there is a row for it.
func mayImport(pkg string) (string, bool) {
	for _, row := range allowed {
		if matches(row.pkg, pkg) {
			return row.may, true
		}
	}
	return "", false
}

// matches reports whether one of the patterns in list matches the path of a package.
func matches(list, pkg string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(pattern string) bool {
		ok, err := path.Match(pattern, pkg)
		return ok && err == nil
	})
}

func TestJudge(t *testing.T) {
	f := func(pkg, name, want string) {
		t.Helper()
		if got := judge(pkg, name); got != want {
			t.Errorf("judge(%s, %s) = %q, want %q", pkg, name, got, want)
		}
	}
	f("collector/uptime", "fmt", "")
	f("collector/uptime", "net/http", "")
	f("collector/uptime", module+"collector", "")
	f("collector/uptime", module+"internal/process", "")
	f("collector/uptime", module+"bus", "collector/uptime must not import bus")
	f("collector/uptime", module+"collector/host", "collector/uptime must not import collector/host")
	f("collector/all", module+"collector/host", "")
	f("collector/all", module+"bus", "collector/all must not import bus")
	f("agent/hub", module+"agent/host", "agent/hub must not import agent/host")
	f("internal/gen", module+"plugin", "internal/gen must not import plugin")
	f("cmd/pacewire", module+"bus/embedded", "")
	f("bus/embedded", "github.com/nats-io/nats-server/v2/server", "")
	f("bus", "github.com/nats-io/nats-server/v2/server", "bus must not import github.com/nats-io/nats-server/v2/server")
	f("bus", "github.com/nats-io/nats.go/jetstream", "")
	f("plugin", "github.com/nats-io/nats.go", "plugin must not import github.com/nats-io/nats.go")
	f("telemetry", "github.com/vmihailenco/msgpack/v5", "telemetry must not import github.com/vmihailenco/msgpack/v5")
	f("plugin/plugintest", "go.uber.org/goleak", "")
	f("bus", "example.org/new", "bus imports example.org/new, whose module has no row in the table of internal/deps")

	if fault := judgeForeign("telemetry", "github.com/vmihailenco/msgpack/v5", true); fault != "" {
		t.Error(fault)
	}
	if fault := judgeForeign("plugin", "github.com/nats-io/nats.go", true); fault == "" {
		t.Error("tests of plugin may import nats.go")
	}
	if _, ok := mayImport("newfolder"); ok {
		t.Error("a folder without a row has one")
	}
}
