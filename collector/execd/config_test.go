package execd

import (
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
)

func TestValidate(t *testing.T) {
	f := func(change func(*Config), says string) {
		t.Helper()
		cfg := Defaults()
		change(&cfg)
		err := cfg.Validate()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Trigger = "SIGUSR2" }, "")
	f(func(c *Config) { c.Trigger = "SIGKILL" }, `trigger "SIGKILL": want none, newline, SIGHUP, SIGUSR1 or SIGUSR2`)
	f(func(c *Config) { c.Format = "munin" }, `format "munin": want influx`) // it is whole at the end of the output only
	f(func(c *Config) { c.Precision = "h" }, `precision "h"`)
	f(func(c *Config) { c.Flush = plugin.Duration(time.Hour) }, "flush 1h0m0s")
	f(func(c *Config) { c.Silence = -1 }, "silence -1ns")
	f(func(c *Config) { c.Command = plugin.Strings{"a b"} }, "no shell reads it")
}
