package lines

import (
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
)

func TestValidate(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := defaults()
		change(&c)
		err := c.Validate()
		if want == "" && err == nil {
			return
		}
		if want == "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Flush = 0 }, "")
	f(func(c *Config) { c.UnixMode = "600" }, "")
	f(func(c *Config) { c.Listen = nil }, "listen is empty: name an address, such as tcp://127.0.0.1:8094")
	f(func(c *Config) { c.Listen = plugin.Strings{"tcp://a:1", "tcp://a:1"} }, `listen "tcp://a:1": is there twice`)
	f(func(c *Config) { c.Listen = plugin.Strings{"tcp://a:0", "tcp://a:0"} }, "")
	f(func(c *Config) { c.Flush = plugin.Duration(-time.Second) }, "flush -1s: want 0s to 1m0s")
	f(func(c *Config) { c.Flush = plugin.Duration(time.Hour) }, "flush 1h0m0s: want 0s to 1m0s")
	f(func(c *Config) { c.Precision = "h" }, `precision "h": want ns, us, ms, s`)
	f(func(c *Config) { c.Format = "carbon" }, `format "carbon": want influx, graphite, opentsdb, json, collectd`)
	f(func(c *Config) { c.Format = "munin" }, `format "munin": want influx`) // nothing of it ends with a line
	f(func(c *Config) { c.Format, c.Templates = "graphite", []string{"host.cpu"} }, `template "host.cpu": no node is the series`)
	f(func(c *Config) { c.Templates = []string{"series*"} }, "templates: is for format graphite alone, and format is influx: set format: graphite, or remove templates")
	f(func(c *Config) { c.Format, c.TypesDB = "graphite", []string{"types.db"} }, "types_db: is for format collectd alone, and format is graphite")
	f(func(c *Config) { c.Format, c.Listen = "graphite", plugin.Strings{"http://:2003"} }, `listen "http://:2003": what comes over HTTP is line protocol, and format is graphite: set format: influx, or listen at tcp://`)
	f(func(c *Config) { c.Format, c.Listen = "influxdb_line", plugin.Strings{"http://:8086"} }, "")
	f(func(c *Config) { c.MaxLine = 1 }, "max_line_bytes 1: want 64 to 16777216")
	f(func(c *Config) { c.MaxBody = 1 }, "max_body_bytes 1: want 1024 or more")
	f(func(c *Config) { c.MaxConnections = 0 }, "max_connections 0: want 1 or more")
	f(func(c *Config) { c.IdleTimeout = -1 }, "idle_timeout -1ns: want 0s (never) or more")
	f(func(c *Config) { c.UnixMode = "rw" }, `unix_mode "rw": want permissions in octal, such as 0660`)
	f(func(c *Config) { c.UnixMode = "7777" }, `unix_mode "7777"`)
	f(func(c *Config) { c.Listen, c.Precision = nil, "" }, "listen is empty: name an address, such as tcp://127.0.0.1:8094\nprecision")
}

func TestSettings(t *testing.T) {
	d := Define()
	f := func(settings, want string) {
		t.Helper()
		err := d.Check([]byte(settings))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", settings, err, want)
		}
	}
	f(`{}`, "")
	f(`{"listen":"tcp://:8094"}`, "")
	f(`{"listen":["tcp://:8094","unix:///a"],"precision":"s"}`, "")
	f(`{"listen":[]}`, "listen is empty")
	f(`{"listen":8094}`, "listen: want a text or a list of texts")
	f(`{"port":8094}`, "port: no such setting")
	if !d.Proxy {
		t.Error("not a proxy: points about other hosts would be refused")
	}
}

// A types.db that is missing is told at once, with its name.
func TestTypesDBMissing(t *testing.T) {
	c := defaults()
	c.Format, c.TypesDB = "collectd", []string{"/no/such/types.db"}
	if _, err := New(t.Context(), c, env(t)); err == nil || !strings.Contains(err.Error(), "types_db: open /no/such/types.db: no such file or directory: name a file that is there, or remove types_db") {
		t.Errorf("%v", err)
	}
}
