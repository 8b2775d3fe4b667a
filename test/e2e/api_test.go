package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// secret stands in the config, and must not in anything that is told.
const secret = "e2e-s3cret-7f21"

const inventoried = `host: alpha
owner: ops
web: { listen: "127.0.0.1:0" }
collect:
  load: { use: host, every: 500ms, only: [load] }
  os: {}
  packages: {}
publish:
  file: { use: lines, from: [load, send], path: points.lp }
  influx: { use: influxdb, from: send, url: "http://127.0.0.1:1", version: 2, org: o, bucket: m, token: ` + secret + ` }
`

// An apiClient asks the API of a hub as a program would.
type apiClient struct {
	t          testing.TB
	url, token string
}

// api returns a client of the hub of a system, when it answers.
func (s *system) api() *apiClient {
	s.t.Helper()
	var is struct{ Hub struct{ API string } }
	s.await(readyWithin, "status tells where the API is", func() bool {
		return json.Unmarshal([]byte(s.verb("status", "-o", "json").out), &is) == nil && is.Hub.API != ""
	})
	token, err := os.ReadFile(s.path("run/http.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	return &apiClient{s.t, is.Hub.API, strings.TrimSpace(string(token))}
}

// send asks for something; token "": without one.
func (c *apiClient) send(method, path, token, body string) (status int, text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), verbWithin)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if strings.Contains(string(all), secret) {
		c.t.Errorf("%s %s tells a secret:\n%s", method, path, tail(string(all)))
	}
	return r.StatusCode, string(all)
}

// get reads what is there, as JSON into v where that is not nil. Where somebody does not answer in time it asks again.
func (c *apiClient) get(path string, v any) string {
	c.t.Helper()
	var status int
	var text string
	await(c.t, readyWithin, "GET "+path+" is answered", func() bool {
		status, text = c.send(http.MethodGet, path, "", "")
		return status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout
	})
	if status != http.StatusOK {
		c.t.Fatalf("GET %s: %d\n%s", path, status, text)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			c.t.Fatalf("GET %s: %v\n%s", path, err, text)
		}
	}
	return text
}

// follow reads a stream of events until one is as cond says.
func (c *apiClient) follow(path string, cond func(telemetry.Event) bool) (found <-chan telemetry.Event) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), verbWithin)
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q) //nolint:bodyclose // it is, by who reads it
	if err != nil {
		c.t.Fatal(err)
	}
	if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		c.t.Fatalf("GET %s: %s, %s", path, r.Status, r.Header.Get("Content-Type"))
	}
	got := make(chan telemetry.Event, 1) // one is looked for
	go func() {
		defer cancel()
		defer r.Body.Close()
		defer close(got)
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			data, is := strings.CutPrefix(lines.Text(), "data: ")
			var v telemetry.Event
			if is && json.Unmarshal([]byte(data), &v) == nil && cond(v) {
				got <- v
				return
			}
		}
	}()
	return got
}

// The API of a machine tells all of it, changes it for who has the token, and keeps what is secret.
func TestAPI(t *testing.T) {
	t.Parallel()
	s := up(t, inventoried)
	c := s.api()
	s.await(readyWithin, "it is ready", func() bool {
		status, text := c.send(http.MethodGet, "/-/ready", "", "")
		return status == http.StatusOK || strings.Contains(text, "stalled") // by this machine
	})
	c.get("/-/healthy", nil)
	c.tellsHost(s)
	c.restarts(s)

	readers := consumers(s, "EVENTS")
	stopped := c.follow("/api/v1/events/stream?host=alpha&plugin=load", func(v telemetry.Event) bool { return v.Type == "left" })
	followed := s.start("events", "--follow", "--plugin", "load", "-o", "json")
	s.await(readyWithin, "events are followed", func() bool { return consumers(s, "EVENTS") >= readers+2 }) // both: the stream's head came before it reads
	s.do("plugin", "stop", "load")
	if v, ok := <-stopped; !ok || v.Host != "alpha" || v.Plugin != "load" || v.Owner != "ops" {
		t.Errorf("the stream of events has told %+v, %v", v, ok)
	}
	s.await(readyWithin, "events --follow shows it", func() bool {
		return slices.ContainsFunc(lines(t, followed.out), func(l string) bool { return strings.Contains(l, `"type":"left"`) })
	})
	s.do("plugin", "start", "load")

	for _, part := range []string{"pacewire_hub_ready ", "pacewire_hub_voice 1\n", `pacewire_hosts{state="UP"} 1`, "pacewire_api_requests_total{"} {
		s.await(readyWithin, "metrics have "+part, func() bool { return strings.Contains(c.get("/metrics", nil), part) })
	}
	c.keepsSecrets(s)
	s.drain()
}

// consumers are those of a stream of the bus of s.
func consumers(s *system, stream string) int {
	s.t.Helper()
	conn, _ := s.connect()
	state, err := conn.StreamInfo(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Consumers
}

// tellsHost checks what is told of the host and its plugins.
func (c *apiClient) tellsHost(s *system) {
	c.t.Helper()
	type host struct{ Host, State, Owner string }
	var list struct{ Hosts []host }
	s.await(readyWithin, "the host is up", func() bool {
		c.get("/api/v1/hosts", &list)
		return len(list.Hosts) == 1 && list.Hosts[0] == host{"alpha", telemetry.HostUp, "ops"}
	})
	var one host
	s.await(readyWithin, "one host is told of as in the list", func() bool {
		c.get("/api/v1/hosts/alpha", &one)
		return one == list.Hosts[0]
	})
	var plugins struct {
		Plugins []struct{ Name, State string }
		Source  string
	}
	s.await(readyWithin, "its agent tells of its plugins", func() bool {
		c.get("/api/v1/hosts/alpha/plugins", &plugins)
		var names []string
		for _, p := range plugins.Plugins {
			names = append(names, p.Name)
		}
		slices.Sort(names)
		return fmt.Sprintf("%s by the %s", names, plugins.Source) == "[file influx load os packages] by the agent"
	})
	s.await(readyWithin, "values come", func() bool {
		return strings.Contains(c.get("/api/v1/values?plugin=load", nil), `"load"`)
	})
	status, text := c.send(http.MethodGet, "/api/v1/hosts/alhpa", "", "")
	if status != http.StatusNotFound {
		c.t.Errorf("a host that is not there: %d", status)
	}
	contains(c.t, "the problem", text, "urn:pacewire:", "alhpa")
}

// restarts checks that only who has the token may restart a plugin.
func (c *apiClient) restarts(s *system) {
	c.t.Helper()
	const path = "/api/v1/hosts/alpha/plugins/load/restart"
	before := s.now()["load"]
	for _, token := range []string{"", "wrong" + c.token} {
		status, text := c.send(http.MethodPost, path, token, "")
		if status != http.StatusUnauthorized {
			c.t.Errorf("restart with the token %q: %d %s", token, status, text)
		}
		contains(c.t, "the problem", text, "http.token")
	}
	if is := s.now()["load"]; is.PID != before.PID {
		c.t.Errorf("load was %+v, is %+v", before, is)
	}
	status, text := c.send(http.MethodPost, path, c.token, "")
	if status != http.StatusOK {
		c.t.Errorf("restart: %d %s", status, text)
	}
	s.awaitPlugin("load", readyWithin, "is another process", func(p plugin) bool { return p.State == "running" && p.PID != before.PID })
}

// keepsSecrets reads all there is; send complains of a secret.
func (c *apiClient) keepsSecrets(s *system) {
	c.t.Helper()
	const host = "/api/v1/hosts/alpha"
	paths := []string{"/api/v1/status", "/api/v1/version", "/api/v1/plugins", "/api/v1/hosts", host, host + "/plugins", host + "/inventory?facts=true",
		"/api/v1/graph", "/api/v1/graph?format=dot", "/api/v1/series", "/api/v1/values", "/api/v1/events", "/metrics", "/openapi.json"}
	for _, name := range []string{"file", "influx", "load", "os", "packages"} {
		paths = append(paths, host+"/plugins/"+name, host+"/plugins/"+name+"/logs")
	}
	var inventory struct {
		Items []struct{ Plugin, Type string }
	}
	s.await(readyWithin, "the inventory is there", func() bool {
		c.get(host+"/inventory", &inventory)
		return len(inventory.Items) >= 10
	})
	for _, it := range inventory.Items {
		paths = append(paths, host+"/inventory/"+it.Plugin+"/"+it.Type)
	}
	for _, path := range paths {
		c.get(path, nil)
	}
	c.send(http.MethodPut, host+"/plugins/influx", c.token, `{"publish":{"influx":{"use":"influxdb","from":"send","version":2,"org":"o","token":["`+secret+`"]}}}`)
	for _, args := range [][]string{{"host", "info", "alpha"}, {"plugin", "info", "influx"}, {"doctor"}, {"status"}, {"events"}} {
		if r := s.verb(append(args, "-o", "json")...); strings.Contains(r.out+r.err, secret) {
			c.t.Errorf("pacewire %s tells a secret", strings.Join(args, " "))
		}
	}
	if strings.Contains(s.text(), secret) {
		c.t.Error("the log tells a secret")
	}
}

// A hub without a bus answers that it is healthy and not ready, and is ready when the bus comes.
func TestReady(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.bus.Stop(t)
	p := newPlace(t)
	hub := p.start("hub", p.write("pacewire.yaml", "bus: { urls: "+e.bus.URL+" }\nweb: { listen: \"127.0.0.1:0\" }\n"+hubLimits))
	c := &apiClient{t: t}
	hub.await(readyWithin, "it tells its address", func() bool {
		for line := range strings.Lines(hub.text()) {
			var r struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &r) == nil && r.Msg == "api listens" {
				c.url = r.Address
			}
		}
		return c.url != ""
	})
	status, text := c.send(http.MethodGet, "/-/ready", "", "")
	if status != http.StatusServiceUnavailable {
		t.Errorf("ready without a bus: %d", status)
	}
	contains(t, "what it waits for", text, "bus")
	c.get("/-/healthy", nil)
	e.bus.Start(t)
	hub.await(readyWithin, "it is ready", func() bool {
		status, text = c.send(http.MethodGet, "/-/ready", "", "")
		return status == http.StatusOK
	})
	hub.drain()
}

// What collectors know of a machine is kept, shown, and not sent again by a machine that was started again.
func TestInventory(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	config := p.write("pacewire.yaml", strings.ReplaceAll(inventoried, secret, "none"))
	start := func() *system {
		s := p.start("up", "--plain", config)
		s.awaitRunning()
		var h beating
		s.await(readyWithin, "the inventory is whole", func() bool {
			r := s.verb("host", "info", "alpha", "-o", "json")
			return r.code == 0 && json.Unmarshal([]byte(r.out), &h) == nil && h.State == telemetry.HostUp && h.Items >= 13 && h.Held == h.Items
		})
		return s
	}
	first := start()
	before := map[string]stored{"os/info": first.facts("os/info"), "packages/info": first.facts("packages/info")}
	r := first.verb("host", "info", "alpha", "--facts", "pakages/info")
	if r.code == 0 {
		t.Error("facts of what is not there")
	}
	contains(t, "facts of what is not there", r.err, "did you mean packages/info?")
	first.drain()

	second := start()
	hold(t, 2*time.Second) // for what comes late
	for entry, was := range before {
		if is := second.facts(entry); is != was {
			t.Errorf("%s was revision %d, is %d\n%.2000s\n%.2000s", entry, was.revision, is.revision, was.text, is.text)
		}
	}
	second.drain()
}

// A stored entry of an inventory, as it is shown and as it is kept.
type stored struct {
	text     string
	revision uint64
}

func (s *system) facts(entry string) stored {
	s.t.Helper()
	text := s.do("host", "info", "alpha", "--facts", entry)
	var d struct{ Data map[string]any }
	if err := json.Unmarshal([]byte(text), &d); err != nil || len(d.Data) == 0 {
		s.t.Errorf("facts of %s: %v: %.200s", entry, err, text)
	}
	conn, _ := s.connect()
	bucket, err := conn.Bucket(s.t.Context(), bus.BucketInventory)
	if err != nil {
		s.t.Fatal(err)
	}
	plugin, kind, _ := strings.Cut(entry, "/")
	v, err := bucket.Get(s.t.Context(), bus.Key("alpha", plugin, kind))
	if err != nil {
		s.t.Fatal(err)
	}
	return stored{text, v.Revision}
}
