package servertest

import "testing"

// NodeExporter starts Prometheus' exporter of the machine (Debian: prometheus-node-exporter) for the test. Its samples are at
// /metrics.
func NodeExporter(t testing.TB) *Server {
	t.Helper()
	return start(t, program{
		name: "prometheus-node-exporter", debian: "prometheus-node-exporter", health: "/", ports: 1,
		args: func(_ testing.TB, _ string, ports []string) []string {
			return []string{"--web.listen-address=" + ports[0]}
		},
	})
}
