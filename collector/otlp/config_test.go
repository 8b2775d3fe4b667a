package otlp

import (
	"strings"
	"testing"

	"github.com/pacewire/pacewire/plugin"
)

func TestValidate(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := defaults()
		change(&c)
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Resource = nil }, "")
	f(func(c *Config) { c.Resource = plugin.Strings{"all"} }, "")
	f(func(c *Config) { c.Listen = nil }, "listen is empty: name an address, such as http://127.0.0.1:")
	f(func(c *Config) { c.Listen = plugin.Strings{"http://:4318", "grpc://:4317"} }, "")
	f(func(c *Config) { c.Listen = plugin.Strings{"tcp://127.0.0.1:4317"} }, `listen "tcp://127.0.0.1:4317": want http://host:port or grpc://host:port`)
	f(func(c *Config) { c.Listen = plugin.Strings{"https://:4318"} }, `listen "https://:4318": want http://:4318: it is TLS when cert_file and key_file are set`)
	f(func(c *Config) { c.CertFile = "c" }, `cert_file "c" and key_file "": give both or none`)
	f(func(c *Config) { c.CAFile = "a" }, `ca_file "a": without TLS nobody shows a certificate`)
	f(func(c *Config) { c.Username = "n" }, `username "n" and password: give both or none`)
	f(func(c *Config) { c.BearerToken = "Bearer x" }, "bearer_token: has a blank")
	f(func(c *Config) { c.Listen = plugin.Strings{"http://a:4318/v1/metrics"} }, "has a path: want http://a:4318")
	f(func(c *Config) { c.Listen = plugin.Strings{"http://a:1", "http://a:1"} }, "is there twice")
	f(func(c *Config) { c.Resource = plugin.Strings{"a", ""} }, "resource_attributes: one is empty")
	f(func(c *Config) { c.Delta = "sum" }, `delta "sum": want add or keep`)
	f(func(c *Config) { c.MaxBody = 1 }, "max_body_bytes 1: want 1024 or more")
	f(func(c *Config) { c.MaxInflated = 1 }, "max_inflated_bytes 1: want max_body_bytes (16777216) or more")
	f(func(c *Config) { c.MaxConnections = 0 }, "max_connections 0: want 1 or more")
	f(func(c *Config) { c.Delta, c.MaxConnections = "", 0 }, "want add or keep\nmax_connections")
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
	f(`{"listen":"http://:4318","resource_attributes":"all","delta":"keep"}`, "")
	f(`{"port":4318}`, "port: no such setting")
	if !d.Proxy {
		t.Error("not a proxy: points about other hosts would be refused")
	}
}

func TestAddressInUse(t *testing.T) {
	r := start(t, nil)
	cfg := defaults()
	cfg.Listen = plugin.Strings{"http://127.0.0.1:0", "http://" + r.l.sockets[0].Addr().String()}
	if _, err := New(t.Context(), cfg, env(t)); err == nil || !strings.Contains(err.Error(), "another program listens there") {
		t.Errorf("error %v", err)
	}
}
