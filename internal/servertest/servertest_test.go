package servertest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestInfluxDB(t *testing.T) {
	s := InfluxDB(t)
	s.CreateDatabase("metrics")
	s.CreateDatabase("metrics")
	post(t, s.URL+"/write?db=metrics", "cpu,host=a v=1.5 1700000000000000001\n")

	want := `[[1700000000000000001,"a",1.5]]`
	read := func() string {
		t.Helper()
		var answer struct {
			Results []struct {
				Series []struct{ Values json.RawMessage }
			}
		}
		raw := s.Query("metrics", `SELECT host, v FROM cpu`)
		if err := json.Unmarshal(raw, &answer); err != nil || len(answer.Results) != 1 || len(answer.Results[0].Series) != 1 {
			t.Fatalf("answer %s: %v", raw, err)
		}
		return string(answer.Results[0].Series[0].Values)
	}
	if got := read(); got != want {
		t.Errorf("values %s, want %s", got, want)
	}
	outage(t, s.Server)
	if got := read(); got != want {
		t.Errorf("after the outage: values %s, want %s", got, want)
	}
}

func TestVictoriaMetrics(t *testing.T) {
	v := VictoriaMetrics(t)
	at := time.Now().Truncate(time.Second)
	post(t, v.URL+"/write", fmt.Sprintf("cpu,host=a v=1.5 %d\ncpu,host=b v=2 %d\n", at.UnixNano(), at.UnixNano()))

	want := fmt.Sprintf(`{"metric":{"__name__":"cpu_v","host":"a"},"values":[1.5],"timestamps":[%d]}`, at.UnixMilli())
	read := func() string {
		t.Helper()
		v.Flush()
		return strings.Join(v.Export(`{host="a"}`), "\n")
	}
	if got := read(); got != want {
		t.Errorf("export %s, want %s", got, want)
	}
	outage(t, v.Server)
	if got := read(); got != want {
		t.Errorf("after the outage: export %s, want %s", got, want)
	}
	if got := v.Export(`{host="nobody"}`); len(got) != 0 {
		t.Errorf("export of nothing: %q", got)
	}
	conn, err := net.Dial("tcp", v.Graphite)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// outage stops and starts a server, each twice, and sees that it was away.
func outage(t *testing.T, s *Server) {
	t.Helper()
	url := s.URL
	s.Stop()
	s.Stop()
	if resp, err := http.Get(url + s.health); err == nil {
		resp.Body.Close()
		t.Errorf("%s still answers", url)
	}
	s.Start()
	s.Start()
	if s.URL != url {
		t.Errorf("moved from %s to %s", url, s.URL)
	}
}

func post(t *testing.T, url, body string) {
	t.Helper()
	resp, err := http.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("POST %s: %s", url, resp.Status)
	}
}

func TestServerEndsWithItsTest(t *testing.T) {
	var url string
	t.Run("test", func(t *testing.T) { url = InfluxDB(t).URL })
	if url == "" {
		t.Skip("no influxd")
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
		conn.Close()
		t.Errorf("%s still listens", url)
	}
}

// A server that does not come up is reported with what it printed.
func TestServerThatEnds(t *testing.T) {
	s := &Server{t: t, URL: "http://127.0.0.1:1", log: t.TempDir() + "/log", args: []string{"sh", "-c", "echo port taken >&2; exit 3"}}
	err := s.start()
	if err == nil || !strings.Contains(err.Error(), "exit code 3") || !strings.Contains(err.Error(), "port taken") {
		t.Errorf("error %v", err)
	}
	if s.proc != nil {
		t.Error("it counts as running")
	}
}

func TestProgram(t *testing.T) {
	if path := Program(t, "sh", "dash"); !strings.HasSuffix(path, "/sh") {
		t.Errorf("sh is %q", path)
	}
	f := func(env string, want string) {
		t.Helper()
		t.Setenv("CI", "")
		t.Setenv("PACEWIRE_TEST_REQUIRE", "")
		if key, value, ok := strings.Cut(env, "="); ok {
			t.Setenv(key, value)
		}
		p := &probe{TB: t}
		func() {
			defer func() { _ = recover() }() // probe ends by panic
			Program(p, "no-such-program", "the-package")
		}()
		if p.ended != want || !strings.Contains(p.text, "no-such-program") || !strings.Contains(p.text, "the-package") {
			t.Errorf("with %q: %s %q, want %s", env, p.ended, p.text, want)
		}
	}
	f("", "skip")
	f("CI=false", "skip")
	f("CI=true", "fatal")
	f("PACEWIRE_TEST_REQUIRE=1", "fatal")
}

// probe notes how a test would have ended.
type probe struct {
	testing.TB
	ended, text string
}

func (p *probe) Skip(args ...any)  { p.end("skip", args) }
func (p *probe) Fatal(args ...any) { p.end("fatal", args) }
func (p *probe) end(how string, args []any) {
	p.ended, p.text = how, fmt.Sprint(args...)
	panic(p)
}

func TestFreePortsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range freePorts(t, 20) {
		if seen[a] || !strings.HasPrefix(a, "127.0.0.1:") {
			t.Errorf("address %s", a)
		}
		seen[a] = true
	}
}
