package servertest

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// Victoria is a VictoriaMetrics server: line protocol on /write, remote write on
// /api/v1/write, Prometheus text on /api/v1/import/prometheus, and Graphite.
type Victoria struct {
	*Server
	Graphite string // the address of its Graphite port, TCP and UDP
}

// VictoriaMetrics starts a VictoriaMetrics server (Debian: victoria-metrics)
// for the test.
func VictoriaMetrics(t testing.TB) *Victoria {
	t.Helper()
	v := &Victoria{}
	v.Server = start(t, program{
		name: "victoria-metrics", debian: "victoria-metrics", health: "/health", ports: 2,
		args: func(_ testing.TB, dir string, ports []string) []string {
			v.Graphite = ports[1]
			return []string{
				"-storageDataPath=" + filepath.Join(dir, "data"),
				"-httpListenAddr=" + ports[0],
				"-graphiteListenAddr=" + ports[1],
				"-retentionPeriod=1", // month: points have to be newer
			}
		},
	})
	return v
}

// Flush makes all that was written visible to Export.
func (v *Victoria) Flush() {
	v.t.Helper()
	v.call(http.MethodGet, "/internal/force_flush")
}

// Export is what matches a series selector, such as {host="a"}: a line of JSON
// for each series, with metric, values and timestamps in milliseconds.
func (v *Victoria) Export(match string) []string {
	v.t.Helper()
	body := v.call(http.MethodGet, "/api/v1/export?"+url.Values{"match[]": {match}}.Encode())
	return strings.FieldsFunc(string(body), func(r rune) bool { return r == '\n' })
}
