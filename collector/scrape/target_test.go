package scrape

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
)

func TestTarget(t *testing.T) {
	cfg := defaults()
	cfg.Job = "j"
	f := func(address, more, rules, want string) {
		t.Helper()
		labels := map[string]string{}
		for _, tag := range labelsOf(more) {
			labels[tag.Key] = tag.Value
		}
		got := ""
		switch target, ok, err := newTarget(cfg, rulesOf(t, rules), address, labels); {
		case err != nil:
			got = err.Error()
		case !ok:
			got = "dropped"
		default:
			got = fmt.Sprintf("%s %s", target.url, labelString(target))
		}
		if got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	f("web-1:9100", "", `[]`, "http://web-1:9100/metrics instance=web-1:9100,job=j")
	f("[::1]:9100", "", `[]`, "http://[::1]:9100/metrics instance=[::1]:9100,job=j")
	f("https://db-1/m?a=b&c=d+e", "", `[]`, "https://db-1/m?a=b&c=d+e instance=db-1,job=j")
	f("a:1/", "", `[]`, `target "a:1/": want host:port, or a URL such as http://host:9100/metrics`)
	f("http://a:1/m?c[]=x&c[]=y&d=", "", `[]`, "http://a:1/m?c%5B%5D=x&c%5B%5D=y instance=a:1,job=j")
	f("a:1", "job=x,instance=y,rack=2", `[]`, "http://a:1/metrics instance=y,job=x,rack=2")
	f("a:1", "__metrics_path__=m,__scheme__=https,__param_q=1,__tmp=2", `[]`, "https://a:1/m?q=1 instance=a:1,job=j")
	f("a:1", "", `[{"source_labels":["__address__"],"regex":"(.*):.*","target_label":"host"}]`, "http://a:1/metrics host=a,instance=a:1,job=j")
	f("a:1", "", `[{"action":"drop","source_labels":["job"],"regex":"j"}]`, "dropped")
	// The way to a prober: its address in place of that of the target, which becomes a parameter.
	f("https://example.org", "", `[{"source_labels":["__scheme__","__address__"],"separator":"://","target_label":"__param_target"},
		{"source_labels":["__param_target"],"target_label":"instance"},{"target_label":"__scheme__","replacement":"http"},
		{"target_label":"__address__","replacement":"prober:9115"},{"target_label":"__metrics_path__","replacement":"/probe"}]`,
		"http://prober:9115/probe?target=https%3A%2F%2Fexample.org instance=https://example.org,job=j")
	f("", "", `[]`, `target "": want host:port, or a URL such as http://host:9100/metrics`)
	f("ftp://a", "", `[]`, `target "ftp://a": scheme "ftp": want http or https`)
	f("http://u:p@a", "", `[]`, `target "http://u:p@a": take the name and the password out of the URL: they are the settings username and password`)
	f("a b:1", "", `[]`, `target "a b:1": want host:port, or a URL such as http://host:9100/metrics`)
}

// A parameter may have several values. A label has the first, and a rule may change that.
func TestParams(t *testing.T) {
	cfg := defaults()
	cfg.Params = map[string]plugin.Strings{"collect[]": {"cpu", "memory"}, "format": {"x"}}
	f := func(address, rules, want string) {
		t.Helper()
		one, _, err := newTarget(cfg, rulesOf(t, rules), address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimPrefix(one.url, "http://a:1/metrics?"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f("a:1", `[]`, "collect%5B%5D=cpu&collect%5B%5D=memory&format=x")
	f("http://a:1?format=y&format=z", `[]`, "collect%5B%5D=cpu&collect%5B%5D=memory&format=y&format=z")
	f("a:1", `[{"target_label":"__param_collect[]","replacement":"disk"},{"target_label":"__param_format","replacement":""}]`, "collect%5B%5D=disk&collect%5B%5D=memory")
	if len(cfg.Params["collect[]"]) != 2 || cfg.Params["collect[]"][0] != "cpu" {
		t.Errorf("the config has %v now", cfg.Params)
	}
}

func labelString(t *target) string { return labels(t.tags).String() }

// Targets have places of their own in the interval, which do not depend on when it begins.
func TestPlaces(t *testing.T) {
	const every = 10 * time.Second
	now := time.Unix(1763559525, 0)
	var halves [2]int
	for i := range 100 {
		one, _, err := newTarget(defaults(), nil, fmt.Sprintf("web-%d:9100", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		first := one.first(every, now)
		if first < 0 || first >= every {
			t.Fatalf("first after %v", first)
		}
		later := now.Add(3 * time.Second)
		if a, b := now.Add(first).UnixNano()%int64(every), later.Add(one.first(every, later)).UnixNano()%int64(every); a != b {
			t.Errorf("places %d and %d", a, b)
		}
		halves[first/(every/2)]++
	}
	if halves[0] < 25 || halves[1] < 25 {
		t.Errorf("in the halves of the interval: %v", halves)
	}
}

func TestValidate(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := defaults()
		change(&c)
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Targets = plugin.Strings{"a:1", "ftp://b"} }, `target "ftp://b": scheme "ftp"`)
	f(func(c *Config) { c.Groups = []Group{{Targets: plugin.Strings{""}}} }, `target "": want host:port`)
	f(func(c *Config) { c.Relabel = []Rule{{}} }, "relabel[0]: action replace: name the target_label")
	f(func(c *Config) { c.MetricRelabel = []Rule{{Action: "x"}} }, `metric_relabel[0]: action "x"`)
	f(func(c *Config) { c.TargetFiles = plugin.Strings{"["} }, `target_files "[": syntax error in pattern: close the bracket`)
	f(func(c *Config) { c.TargetFilesEvery = 0 }, "target_files_every 0s: want 10ms or more")
	f(func(c *Config) { c.Scheme = "ftp" }, `scheme "ftp": want http or https`)
	f(func(c *Config) { c.ScrapeTimeout = 0 }, "scrape_timeout 0s: want more than nothing")
	f(func(c *Config) { c.MaxSamples = 0 }, "max_samples 0: want 1 or more")
	f(func(c *Config) { c.MaxBody = 0 }, "max_body_bytes 0: want 1 or more")
	f(func(c *Config) { c.Stale = "nan" }, `stale "nan": want count or mark`)
	f(func(c *Config) { c.Proxy = "proxy:3128" }, "proxy_url: want a URL such as http://proxy:3128")
	f(func(c *Config) { c.Proxy = "ftp://proxy" }, "proxy_url: want a URL such as http://proxy:3128")
	f(func(c *Config) { c.Proxy = "http://u:secret@proxy" }, "proxy_url: take the name and the password out of it")
	f(func(c *Config) { c.Proxy = "socks5://proxy:1080" }, "")
	f(func(c *Config) { c.BearerToken, c.Username = "t", "u" }, "bearer_token, renewed_token_file and username: give one of them")
	f(func(c *Config) { c.RenewedFile, c.Password = "/t", "p" }, "bearer_token, renewed_token_file and username: give one of them")
	f(func(c *Config) { c.CertFile = "a" }, `cert_file "a" and key_file "": give both or none`)
}
