package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus/bustest"
)

// An agent, its plugins and its verbs work on a bus that is encrypted and asks who they are.
func TestAgentOnAnEncryptedBus(t *testing.T) {
	t.Parallel()
	b, cert, key := bustest.Encrypted(t)
	p := newPlace(t)
	const plugins = "collect: { host: { every: 200ms, only: [load] } }\npublish: { file: { use: lines, from: host, path: points.lp } }\n"
	p.write("pacewire.yaml", fmt.Sprintf("bus: { urls: %s, tls: { ca_file: %s, cert_file: %s, key_file: %s } }\n", b.URL, cert, cert, key)+plugins)
	s := p.start("agent", "-c", "pacewire.yaml")
	s.awaitRunning()
	s.await(readyWithin, "points in the file", func() bool { return len(lines(t, s.path("points.lp"))) > 1 })
	contains(t, "plugin list", s.do("plugin", "list"), "host", "file", "running")
	s.drain()

	r := p.verb("agent", "-c", p.write("open.yaml", "bus: { urls: "+b.URL+", tls: { ca_file: /nowhere/ca.pem } }\n"+plugins))
	if r.code == 0 || !strings.Contains(r.err, "/nowhere/ca.pem") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
}
