package servertest

import (
	"net/http"
	"strings"
	"testing"
)

func TestNodeExporter(t *testing.T) {
	s := NodeExporter(t)
	if text := string(s.call(http.MethodGet, "/metrics")); !strings.Contains(text, "\n# TYPE node_cpu_seconds_total counter\n") {
		t.Errorf("no counter of CPU time in %d bytes", len(text))
	}
}
