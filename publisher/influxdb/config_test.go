package influxdb

import (
	"encoding/pem"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/plugin"
)

// writeCA writes the certificate of s to a file.
func writeCA(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestValidate(t *testing.T) {
	f := func(c Config, want ...string) {
		t.Helper()
		err := c.Validate()
		if len(want) == 0 && err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		for _, text := range want {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%+v: %q is not in %v", c, text, err)
			}
		}
	}
	const url = "https://influx.example:8086/path"
	f(Config{URL: url, Version: 1, Compression: auto}) // VictoriaMetrics needs no database
	f(Config{URL: url, Version: 1, Database: "m", CreateDatabase: true, Compression: none})
	f(Config{URL: url, Version: 2, Bucket: "b", Token: "t", Compression: gzipped})
	f(Config{URL: url, Version: 2, Bucket: "b", Database: "m", Compression: gzipped}) // the default database
	f(Config{URL: url, Version: 3, Database: "m", Token: "t", Compression: gzipped})

	f(Config{}, "url:", "version 0", `compression ""`)
	f(Config{URL: "localhost:8086"}, "url: want http://host:8086")
	f(Config{URL: "udp://localhost:8086"}, "url: want")
	f(Config{URL: "http:///write"}, "url: want")
	f(Config{URL: "http://u@h"}, "url: has a user name")
	f(Config{URL: "http://h?db=x"}, "url: has a query")
	f(Config{URL: url, Version: 2}, "bucket is empty")
	f(Config{URL: url, Version: 3}, "database is empty")
	f(Config{URL: url, Version: 1, Bucket: "b"}, "set version: 2")
	f(Config{URL: url, Version: 2, Password: "p"}, "use token")
	f(Config{URL: url, Version: 1, Token: "t"}, "use username and password")
	f(Config{URL: url, Version: 1, CreateDatabase: true}, "create_database without database")
}

func TestDefine(t *testing.T) {
	d := Define()
	if err := d.Check(d.Defaults()); err != nil {
		t.Error(err)
	}
	if err := d.Check([]byte(`{"version": 2, "org": "o", "bucket": "b", "token": "t"}`)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(string(d.Schema()), `"token_file"`) || !strings.Contains(string(d.Schema()), `"password_file"`) {
		t.Error("secrets cannot come from files")
	}
}

func TestCAFile(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		cfg := Config{URL: "https://h", Version: 1, Compression: none, CAFile: path}
		if _, err := New(t.Context(), cfg, plugin.Env{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f(empty, "ca_file: "+empty+" has no certificate")
	f(empty+"x", "ca_file: open")
}
