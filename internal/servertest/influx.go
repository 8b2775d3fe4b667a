package servertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// Influx is an InfluxDB 1.x server: line protocol on /write, InfluxQL on /query.
type Influx struct{ *Server }

// InfluxDB starts an InfluxDB server (Debian: influxdb) for the test, without a
// database.
func InfluxDB(t testing.TB) *Influx {
	t.Helper()
	return &Influx{start(t, program{
		name: "influxd", debian: "influxdb", health: "/ping", ports: 2, args: influxArgs,
	})}
}

func influxArgs(t testing.TB, dir string, ports []string) []string {
	t.Helper()
	// %q quotes what a path of TempDir can hold as TOML does.
	config := fmt.Sprintf(`
reporting-disabled = true
bind-address = %q
[meta]
  dir = %q
[data]
  dir = %q
  wal-dir = %q
[http]
  bind-address = %q
  log-enabled = false
[monitor]
  store-enabled = false
[continuous_queries]
  enabled = false
`, ports[1], filepath.Join(dir, "meta"), filepath.Join(dir, "data"), filepath.Join(dir, "wal"), ports[0])
	path := filepath.Join(dir, "influx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"run", "-config", path}
}

// CreateDatabase makes a database; one that exists stays as it is.
func (s *Influx) CreateDatabase(name string) {
	s.t.Helper()
	s.call(http.MethodPost, "/query?"+url.Values{"q": {fmt.Sprintf("CREATE DATABASE %q", name)}}.Encode())
}

// Query is the server's answer to an InfluxQL query, with times in nanoseconds.
// An error in the query is in the answer.
func (s *Influx) Query(database, query string) json.RawMessage {
	s.t.Helper()
	return s.call(http.MethodGet, "/query?"+url.Values{"db": {database}, "epoch": {"ns"}, "q": {query}}.Encode())
}
