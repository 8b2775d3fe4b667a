package statsd

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
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	to := func(entries ...string) plugin.Strings { return entries }
	f(func(*Config) {}, "")
	f(func(c *Config) {
		c.Listen = to("udp://:1", "tcp://:1", "unix:///a", "unixgram:///b", "unixstream:///c")
	}, "")
	f(func(c *Config) { c.Listen = nil }, "listen is empty")
	f(func(c *Config) { c.Listen = to("8125") }, "want udp://host:port, tcp://host:port, unixgram:///path, unix:///path or unixstream:///path")
	f(func(c *Config) { c.Listen = to("tls://:8125") }, "want tcp://:8125: it is TLS when cert_file and key_file are set")
	f(func(c *Config) { c.Listen = to("unixstream://a") }, "want an absolute path, such as unixstream:///run/name.sock")
	f(func(c *Config) { c.CertFile, c.KeyFile = "c", "k" }, `cert_file "c": listen has no address of TCP, and nothing would be encrypted`)
	f(func(c *Config) { c.Listen, c.CertFile = to("tcp://:1"), "c" }, `cert_file "c" and key_file "": give both or none`)
	f(func(c *Config) { c.Listen, c.CAFile = to("tcp://:1"), "a" }, `ca_file "a": without TLS nobody shows a certificate`)
	f(func(c *Config) { c.Flush = 0 }, "flush 0s: want 100ms or more")
	f(func(c *Config) { c.Keep = plugin.Duration(time.Second) }, "keep 1s: want flush (10s) or more")
	f(func(c *Config) { c.MaxMetrics = 0 }, "max_metrics 0: want 1 or more")
	f(func(c *Config) { c.MaxLine = 10 }, "max_line_bytes 10: want 64 to 1048576")
	f(func(c *Config) { c.MaxConnections = 0 }, "max_connections 0: want 1 or more")
	f(func(c *Config) { c.IdleTimeout = -1 }, "idle_timeout -1ns: want 0s (never) or more")
	f(func(c *Config) { c.UnixMode = "rw" }, `unix_mode "rw": want permissions in octal`)
	f(func(c *Config) { c.TypeTag = "host" }, `type_tag "host": want another name of a tag, such as metric_type`)
	f(func(c *Config) { c.TypeTag = strings.Repeat("x", 256) }, "want another name of a tag")
}

// Passwords are for HTTP, which is not spoken here.
func TestNoPasswords(t *testing.T) {
	if err := Define().Check([]byte(`{"listen":"tcp://:1","bearer_token":"x"}`)); err == nil || !strings.Contains(err.Error(), "bearer_token: no such setting") {
		t.Errorf("error %v", err)
	}
}
