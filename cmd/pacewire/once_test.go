package main

import (
	"os"
	"strings"
	"testing"
)

// What has an end is run; what listens is left out, which is told, unless it alone is named.
func TestOnceListens(t *testing.T) {
	run := place(t)
	const text = `
collect:
  checks: { use: nagios, checks: { fine: { command: [echo, all is well] } } }
  exporters: { use: scrape, targets: "127.0.0.1:1" }
  endless: { use: exec, command: [sleep, "60"], timeout: 100ms }
  door: { use: statsd, listen: "udp://127.0.0.1:0" }
`
	if err := os.WriteFile("c.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(args string, code int, out, says string) {
		t.Helper()
		r := run(strings.Fields("once -c c.yaml " + args)...)
		if r.code != code || !strings.Contains(r.out, out) || !strings.Contains(r.err, says) {
			t.Errorf("once %s: exit code %d, %q, %q", args, r.code, r.out, r.err)
		}
	}
	const left = "door: not run, as it has no end of its own: pacewire once door alone runs it until Ctrl-C"
	f("", 1, `"text":"all is well"`, left) // as it does not end
	f("", 1, `"series":"up"`, left)
	f("checks", 0, `"check":"fine"`, "")
	f("endless", 1, "", "sleep: ended: no answer in 100ms")
	f("checks door", 1, `"check":"fine"`, left)
}
