package e2e

import (
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pacewire/pacewire/internal/servertest"
)

// comingFrom are the configs of the page for those who have something else, each by its heading.
func comingFrom(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/coming-from.md")
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]string{}
	for _, part := range strings.Split(string(page), "\n## ")[1:] {
		heading, text, _ := strings.Cut(part, "\n")
		_, config, _ := strings.Cut(text, "```yaml\n")
		configs[heading], _, _ = strings.Cut(config, "```")
		if n := strings.Count(text, "```yaml"); n != 1 {
			t.Errorf("%s has %d configs, want one", heading, n)
		}
	}
	if len(configs) != 7 {
		t.Errorf("%d origins, want 7", len(configs))
	}
	return configs
}

// Each config of the page is good, and there is nothing to warn of.
func TestComingFromConfigs(t *testing.T) {
	t.Parallel()
	for heading, config := range comingFrom(t) {
		p := newPlace(t)
		if r := p.verb("validate", p.write("pacewire.yaml", config)); r.code != 0 || r.err != "" {
			t.Errorf("%s: exit code %d\n%s", heading, r.code, r.err)
		}
	}
}

// quick makes a config of the page one that has not to be waited for, on ports that are free. Most collectors begin at once; checks have
// their place in the interval, and StatsD is told when it is over.
var quick = strings.NewReplacer("every: 1m, attempts: 3, retry_every: 10s", "every: 3s, timeout: 3s", "/], every: 5m", "/]", "timeout: 10s", "timeout: 3s",
	"127.0.0.1:2003", "127.0.0.1:0", "127.0.0.1:4318", "127.0.0.1:0", "127.0.0.1:8094", "127.0.0.1:0",
	`"udp://127.0.0.1:8125"`, `"udp://127.0.0.1:0", flush: 1s`)

// A joint is a config of several origins, in which each name has its origin before it.
type joint map[string]map[string]map[string]any

// add adds the plugins of a config. They keep what they say, their program and the tags of their machine.
func (j joint) add(t *testing.T, origin, config string) {
	t.Helper()
	var c struct {
		Tags                      map[string]string
		Collect, Process, Publish map[string]map[string]any
	}
	if err := yaml.Unmarshal([]byte(quick.Replace(config)), &c); err != nil {
		t.Fatal(err)
	}
	called := func(name any) string { return origin + "_" + name.(string) }
	for section, plugins := range map[string]map[string]map[string]any{"collect": c.Collect, "process": c.Process, "publish": c.Publish} {
		for name, p := range plugins {
			if p["use"] == nil {
				p["use"] = name
			}
			if section == "collect" {
				p["tags"] = c.Tags
			}
			switch from := p["from"].(type) {
			case string: // all
				p["from"] = []any{}
				for other := range c.Collect {
					p["from"] = append(p["from"].([]any), called(other))
				}
			case []any:
				for i, other := range from {
					if other != "send" {
						from[i] = called(other)
					}
				}
			}
			if j[section] == nil {
				j[section] = map[string]map[string]any{}
			}
			j[section][called(name)] = p
		}
	}
}

// The configs do what the page says: programs that are there run, what is sent arrives, and all of it is in the files. The info
// collectors of the heartbeat system have tests of their own.
func TestComingFrom(t *testing.T) {
	t.Parallel()
	servertest.Program(t, "/usr/share/munin/plugins/load", "munin-plugins-core")
	servertest.Program(t, checkFolder+"/check_load", "monitoring-plugins-basic")
	exporter := servertest.NodeExporter(t)
	configs, p := comingFrom(t), newPlace(t)
	p.write("backup.prom", "backup_bytes 5\n")
	all := joint{}
	all.add(t, "nagios", configs["Nagios, NRPE, Icinga, Sensu"])
	all.add(t, "telegraf", configs["Telegraf"])
	collectd := strings.Replace(configs["collectd"], "/tmp/collectd.sock", p.path("collectd.sock"), 1)
	if os.Getuid() != 0 {
		collectd = strings.Replace(collectd, "user: nobody", "", 1)
	}
	all.add(t, "collectd", collectd)
	all.add(t, "graphite", configs["Graphite, carbon"])
	all.add(t, "prometheus", strings.NewReplacer("127.0.0.1:9100", strings.TrimPrefix(exporter.URL, "http://"), "/var/lib/prometheus/node-exporter", p.dir).Replace(configs["Prometheus"]))
	all.add(t, "others", configs["Others"])
	config, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	s := p.start("up", "--plain", p.write("pacewire.yaml", "every: 2s\n"+string(config)))
	s.awaitRunning()

	send := func(plugin, text string) func() {
		return func() {
			network, address, ok := strings.Cut(s.listening(plugin), "://")
			if !ok {
				network, address = "tcp", network
			}
			c, err := net.Dial(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	send("graphite_carbon", "servers.web-1.cpu.idle 97.5 -1\n")()
	send("collectd_socket", "PUTVAL localhost/door-lab/gauge N:1\n")()
	send("others_statsd", "page.views:1|c|#route:index\n")()
	send("others_lines", "hello,from=app n=1i\n")()
	body := `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"queue.size","gauge":{"dataPoints":[{"asInt":"42"}]}}]}]}]}`
	answer, err := http.Post(s.listening("others_otlp")+"/v1/metrics", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if r := p.verbWith("check_state,check=backup state=0i,text=\"all well\"\n", "send"); r.code != 0 {
		t.Errorf("send: exit code %d: %s", r.code, r.err)
	}

	f := func(file, point string) {
		t.Helper()
		want := regexp.MustCompile(point)
		s.await(readyWithin, point+" in "+file, func() bool { return slices.ContainsFunc(lines(t, s.path(file)), want.MatchString) })
	}
	f("checks.lp", `^check_state,check=load,host=[^,]+,site=lab .*text="LOAD `)
	f("checks.lp", `^nagios_perf,check=root,host=[^,]+,label=/,site=lab,unit=B .*value=\d+`)
	f("checks.lp", `^check_state,check=backup,.*text="all well"`)
	f("copy.lp", `^queue,dc=ams,host=[^,]+,name=m length=3i \d+$`)
	f("telegraf.lp", `^tmp,dc=ams,host=[^,]+ files=\d+i \d+$`)
	f("telegraf.lp", `^mem,dc=ams,host=`)
	f("collectd.lp", `^users_users,host=[^,]+,instance=all value=\d`)
	f("collectd.lp", `^door_gauge,host=[^,]+,instance=lab value=1 `)
	f("carbon.lp", `^cpu,host=web-1 idle=97.5 \d+$`)
	f("scraped.lp", `^node_load1,host=[^,]+,instance=127.0.0.1:\d+,job=prometheus_nodes,node=127.0.0.1,role=web value=`)
	f("scraped.lp", `^backup_bytes,host=[^,]+ value=5 `)
	f("others.lp", `^munin_load,graph=load,host=[^,]+ load=`)
	f("others.lp", `^munin_df,`)
	f("others.lp", `^others_disks,host=[^,]+,name=sda temp=31`)
	f("others.lp", `^page.views,host=[^,]+,route=index total=1,value=1 `)
	f("others.lp", `^hello,from=app,host=[^ ]+ n=1i `)
	f("others.lp", `^queue.size,host=[^ ]+ value=42i `)
	for _, line := range lines(t, s.path("scraped.lp")) {
		if strings.HasPrefix(line, "go_") {
			t.Fatalf("dropped by metric_relabel, and there: %s", line)
		}
	}
	s.drain()
}
