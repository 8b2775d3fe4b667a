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
	f(func(c *Config) { c.Precision = "h" }, `precision "h": want ns, us, ms or s`)
	f(func(c *Config) { c.MaxLine = 1 }, "max_line_bytes 1: want 64 to 16777216")
	f(func(c *Config) { c.MaxBody = 1 }, "max_body_bytes 1: want 1024 or more")
	f(func(c *Config) { c.MaxConnections = 0 }, "max_connections 0: want 1 or more")
	f(func(c *Config) { c.IdleTimeout = -1 }, "idle_timeout -1ns: want 0s (never) or more")
	f(func(c *Config) { c.UnixMode = "rw" }, `unix_mode "rw": want permissions in octal, such as 0660`)
	f(func(c *Config) { c.UnixMode = "7777" }, `unix_mode "7777"`)
	f(func(c *Config) { c.Listen, c.Precision = nil, "" }, "listen is empty: name an address, such as tcp://127.0.0.1:8094\nprecision")
}

func TestEndpoint(t *testing.T) {
	f := func(entry, scheme, address string) {
		t.Helper()
		if e, err := parseEndpoint(entry); err != nil || e != (endpoint{scheme, address}) {
			t.Errorf("%s: %v, %v", entry, e, err)
		}
	}
	f("tcp://127.0.0.1:8094", "tcp", "127.0.0.1:8094")
	f("tcp://:8094", "tcp", ":8094")
	f("udp://[::1]:0", "udp", "[::1]:0")
	f("http://localhost:8086/", "http", "localhost:8086")
	f("unix:///run/a.sock", "unix", "/run/a.sock")

	bad := func(entry, want string) {
		t.Helper()
		if _, err := parseEndpoint(entry); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", entry, err, want)
		}
	}
	bad("", "want tcp://host:port, udp://host:port, http://host:port or unix:///path")
	bad("8094", "want tcp://host:port")
	bad("127.0.0.1:8094", "want tcp://host:port")
	bad("https://a:1", "want tcp://host:port")
	bad("tcp:a:1", "want tcp://host:port")
	bad("tcp://u@a:1", "want tcp://host:port")
	bad("http://a:1?x=y", "want tcp://host:port")
	bad("tcp://a", "want a host and a port, such as tcp://127.0.0.1:8094")
	bad("tcp://a:65536", "want a host and a port")
	bad("tcp://a:x", "want tcp://host:port")
	bad("http://a:1/write", "has a path: want http://a:1")
	bad("unix://a.sock", "want an absolute path, such as unix:///run/lines.sock")
	bad("unix:///", "want an absolute path")
	bad("unix:///"+strings.Repeat("x", 107), "the path has 108 bytes, a Unix socket takes 107")
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
