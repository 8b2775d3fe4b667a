package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

func TestHosts(t *testing.T) {
	r := start(t, nil, nil)
	f := func(query, want string) {
		t.Helper()
		var p hostPage
		r.get("/api/v1/hosts"+query, &p)
		got := ""
		for _, h := range p.Hosts {
			got += h.Host + " "
		}
		if p.Next != "" {
			got += "next " + p.Next
		}
		if got = strings.TrimSpace(got); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	f("", "db1 web1 web2")
	f("?state=up", "web1 web2")
	f("?owner=ada", "db1")
	f("?site=lab&owner=eve", "web1")
	f("?label=rack=7", "db1")
	f("?owner=nobody", "")
	f("?limit=2", "db1 web1 next web1")
	f("?limit=2&after=web1", "web2")
	f("?after=zz", "")
}

func TestETag(t *testing.T) {
	r := start(t, nil, nil)
	f := func(path string) {
		t.Helper()
		first := r.ask("GET", path, "")
		tag := first.Header.Get("ETag")
		r.fleet.hosts[1].AgeMS += 1000 // as time does
		r.fleet.hosts[1].Beat++
		r.fleet.plugins[0].RSS++
		if a := r.ask("GET", path, "", "If-None-Match: "+tag); a.StatusCode != http.StatusNotModified || a.text != "" {
			t.Errorf("%s: %s where only an age has changed", path, a.Status)
		}
		if a := r.ask("GET", path, "", `If-None-Match: "other", `+tag); a.StatusCode != http.StatusNotModified {
			t.Errorf("%s: %s for a list of tags", path, a.Status)
		}
		r.fleet.hosts[1].State, r.fleet.plugins[0].State = r.fleet.hosts[1].State+"x", r.fleet.plugins[0].State+"x"
		r.fleet.items[0].Size++
		if a := r.ask("GET", path, "", "If-None-Match: "+tag); a.StatusCode != http.StatusOK || a.Header.Get("ETag") == tag {
			t.Errorf("%s: %s where a state has changed", path, a.Status)
		}
	}
	f("/api/v1/hosts")
	f("/api/v1/hosts/web1")
	f("/api/v1/plugins")
	f("/api/v1/hosts/web1/inventory")
}

func TestHostByName(t *testing.T) {
	r := start(t, nil, nil)
	var h telemetry.HostStatus
	if r.get("/api/v1/hosts/www", &h); h.Host != "web1" {
		t.Errorf("www is %s", h.Host)
	}
	r.ask("DELETE", "/api/v1/hosts/www", "")
	if told := r.fleet.orders(); told != "forget web1" {
		t.Errorf("told %s", told)
	}
	odd := "a b/*.>é\"<img>"
	r.fleet.hosts = append(r.fleet.hosts, telemetry.HostStatus{Host: odd, State: "UP"})
	if r.get("/api/v1/hosts/"+url.PathEscape(odd), &h); h.Host != odd {
		t.Errorf("host %q", h.Host)
	}
}

func TestSilence(t *testing.T) {
	r := start(t, nil, nil)
	f := func(method, body string, status int, want string) {
		t.Helper()
		a := r.ask(method, "/api/v1/hosts/web1/silence", body)
		if told := r.fleet.orders(); a.StatusCode != status || told != want {
			t.Errorf("%s %s: %s %s, told %q, want %q", method, body, a.Status, a.text, told, want)
		}
	}
	f("POST", `{"for": "2h"}`, 200, "silence web1 2h0m0s")
	f("POST", `{"for": "2d"}`, 200, "silence web1 48h0m0s")
	f("DELETE", "", 200, "unsilence web1")
	r.fleet.err = fmt.Errorf("%w: ask hub %q", hub.ErrNotSpeaker, "hub2")
	f("POST", `{"for": "2h"}`, 503, "silence web1 2h0m0s")
	f("POST", `{"for": "500ms"}`, 400, "")
	f("POST", `{"for": "9000h"}`, 400, "")
}

func TestInventory(t *testing.T) {
	r := start(t, nil, nil)
	var page struct{ Items []item }
	r.get("/api/v1/hosts/web1/inventory", &page)
	if len(page.Items) != 1 || page.Items[0].Plugin != "os" || page.Items[0].Facts != nil {
		t.Errorf("%+v", page.Items)
	}
	a := r.ask("GET", "/api/v1/hosts/web1/inventory?facts", "")
	if !strings.Contains(a.text, `"data":{"name":"Debian"}`) {
		t.Errorf("facts: %s", a.text)
	}
	r.fleet.items = append(r.fleet.items,
		telemetry.RefreshItem{InventoryItem: telemetry.InventoryItem{Plugin: "hw", Type: "info"}, Error: &telemetry.Fault{Code: "timeout"}},
		telemetry.RefreshItem{InventoryItem: telemetry.InventoryItem{Plugin: "big", Type: "info"}, Size: mostFacts})
	page.Items = nil
	r.get("/api/v1/hosts/web1/inventory?facts=1", &page)
	if len(page.Items) != 3 || page.Items[1].Missing != hub.ErrNoEntry.Error() || !strings.Contains(page.Items[2].Missing, "too long") {
		t.Errorf("%+v", page.Items)
	}
	if a := r.ask("GET", "/api/v1/hosts/web1/inventory/os/info", ""); !strings.Contains(a.text, `"data":{"name":"Debian"}`) {
		t.Errorf("%s %s", a.Status, a.text)
	}
}

func TestRefresh(t *testing.T) {
	r := start(t, nil, nil)
	f := func(path, body, want string) {
		t.Helper()
		a := r.ask("POST", path, body)
		if told := r.fleet.orders(); told != want || a.StatusCode != http.StatusAccepted || a.Header.Get("Location") != "/api/v1/jobs/18" {
			t.Errorf("%s %s: %s %s, told %q, want %q", path, body, a.Status, a.text, told, want)
		}
	}
	f("/api/v1/refresh", "", "refresh [] cached")
	f("/api/v1/refresh", "{}", "refresh [] cached")
	f("/api/v1/refresh?mode=collect", `{"hosts": ["www", "db1"]}`, "refresh [web1 db1] collect")
	f("/api/v1/hosts/www/refresh", "", "refresh [web1] cached")

	var j Job
	if r.get("/api/v1/jobs/17", &j); j.State != jobDone || j.Kind != "refresh" || j.Refresh.Done != 3 {
		t.Errorf("%+v", j)
	}
}

// TestErrors looks what the errors of others are in HTTP.
func TestErrors(t *testing.T) {
	f := func(err error, status int, code string) {
		t.Helper()
		p := problemOf(fmt.Errorf("ask web1: %w", err))
		if p.Status != status || p.Code != code || strings.Contains(p.Detail, "ask web1") != (status != 500) || p.Hint == "" {
			t.Errorf("%v: %+v, want %d %s", err, p, status, code)
		}
	}
	f(hub.ErrNoHost, 404, "no_host")
	f(hub.ErrNotConnected, 503, "not_connected")
	f(hub.ErrNotSpeaker, 503, "not_speaker")
	f(bus.ErrTimeout, 504, "timeout")
	f(late(bus.ErrTimeout), 503, "not_now")
	f(late(context.DeadlineExceeded), 503, "not_now")
	f(late(bus.ErrDenied), 503, "bus_denied")
	f(bus.ErrNoResponders, 503, "not_now")
	f(bus.ErrDisconnected, 503, "no_bus")
	f(bus.ErrDenied, 503, "bus_denied")
	f(errors.New("odd"), 500, "internal")
	if p := problemOf(fmt.Errorf("%s%w", strings.Repeat("é", mostText), bus.ErrTimeout)); len(p.Detail) > mostText+3 {
		t.Errorf("a detail of %d bytes", len(p.Detail))
	}
}

func TestPlugins(t *testing.T) {
	r := start(t, nil, nil)
	f := func(query, want string) {
		t.Helper()
		var p pluginPage
		r.get("/api/v1/plugins"+query, &p)
		var got []string
		for _, one := range p.Plugins {
			got = append(got, place(one))
		}
		if p.Next != "" {
			got = append(got, "next", p.Next)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", query, text, want)
		}
	}
	f("", "web1/cpu web1/tidy web2/cpu")
	f("?state=failed", "web2/cpu")
	f("?host=web1", "web1/cpu web1/tidy")
	f("?limit=1", "web1/cpu next web1/cpu")
	f("?limit=1&after=web1/cpu", "web1/tidy next web1/tidy")
	f("?after=web1/tidy", "web2/cpu")
}

// TestLivePlugins asks an agent that answers by pages, then one that does not answer.
func TestLivePlugins(t *testing.T) {
	r := start(t, nil, nil)
	obedient := r.fleet.answer
	var asked []any
	r.fleet.answer = tell(func(verb string, args map[string]any) any {
		asked = append(asked, args["after"])
		if args["after"] == nil {
			return telemetry.PluginList{Plugins: []telemetry.PluginStatus{{Name: "a", Kind: "collector", Host: "web1", State: "running"}}, More: true}
		}
		return telemetry.PluginList{Plugins: []telemetry.PluginStatus{{Name: "b", Kind: "collector", Host: "web1", State: "running"}}}
	})
	var p pluginPage
	r.get("/api/v1/hosts/web1/plugins", &p)
	if p.Source != "agent" || len(p.Plugins) != 2 || !slices.Equal(asked, []any{nil, "a"}) {
		t.Errorf("%+v, asked %v", p, asked)
	}
	r.fleet.err = hub.ErrNotConnected
	p = pluginPage{}
	if r.get("/api/v1/hosts/web1/plugins", &p); p.Source != "hub" || len(p.Plugins) != 2 || p.Why != hub.ErrNotConnected.Error() {
		t.Errorf("%+v", p)
	}
	p = pluginPage{}
	if r.get("/api/v1/hosts/web1/plugins/tidy", &p); p.Source != "hub" || p.Plugins[0].Name != "tidy" {
		t.Errorf("%+v", p)
	}
	if a := r.ask("GET", "/api/v1/hosts/web1/plugins/other", ""); a.code() != "not_connected" {
		t.Errorf("%s %s", a.Status, a.text)
	}
	r.fleet.err = nil
	r.fleet.answer = tell(func(string, map[string]any) any { return telemetry.Fault{Code: "not_found", Message: "no plugin tidy"} })
	if a := r.ask("GET", "/api/v1/hosts/web1/plugins/tidy", ""); a.StatusCode != 404 || a.code() != "agent_not_found" {
		t.Errorf("what the agent says counts: %s %s", a.Status, a.text)
	}
	r.fleet.answer = obedient
	if r.get("/api/v1/hosts/web1/plugins/tidy", &p); p.Source != "agent" {
		t.Errorf("%+v", p)
	}
}

// TestLyingAgents asks agents whose lists go round in circles, have no end, or are about others.
func TestLyingAgents(t *testing.T) {
	r := start(t, nil, nil)
	asked := 0
	f := func(what, why string, page func(n int) telemetry.PluginList) {
		t.Helper()
		asked = 0
		r.fleet.answer = tell(func(string, map[string]any) any {
			asked++
			return page(asked)
		})
		var p pluginPage
		if r.get("/api/v1/hosts/web1/plugins", &p); p.Source != "hub" || !strings.Contains(p.Why, why) || asked > mostPages {
			t.Errorf("%s: from the %s, %q, asked %d times", what, p.Source, p.Why, asked)
		}
	}
	list := func(more bool, names ...string) telemetry.PluginList {
		l := telemetry.PluginList{More: more}
		for _, name := range names {
			l.Plugins = append(l.Plugins, telemetry.PluginStatus{Name: name, Kind: "collector", Host: "db1", State: "running"})
		}
		return l
	}
	f("the same page for ever", `has "a", which`, func(int) telemetry.PluginList { return list(true, "a") })
	f("one twice", `has "b", which`, func(int) telemetry.PluginList { return list(false, "b", "a", "b") })
	f("odd names", `has "a b", which`, func(int) telemetry.PluginList { return list(false, "a b") })
	f("nothing, and more of it", "no end", func(int) telemetry.PluginList { return list(true) })
	f("pages without end", "more than 100 pages", func(n int) telemetry.PluginList { return list(true, fmt.Sprintf("p%05d", n)) })

	var p pluginPage
	r.fleet.answer = tell(func(string, map[string]any) any { return list(false, "load", "cpu", "file") })
	if r.get("/api/v1/hosts/web1/plugins", &p); p.Source != "agent" || len(p.Plugins) != 3 || p.Plugins[1].Name != "cpu" {
		t.Errorf("an agent lists its plugins in the order of its config: %+v", p)
	}
	r.fleet.answer = tell(func(string, map[string]any) any { return list(false, "cpu") })
	p = pluginPage{}
	if r.get("/api/v1/hosts/web1/plugins", &p); p.Source != "agent" || p.Plugins[0].Host != "web1" {
		t.Errorf("an agent that speaks of another host: %+v", p)
	}
	p = pluginPage{}
	if r.get("/api/v1/hosts/web1/plugins/cpu", &p); p.Source != "agent" || p.Plugins[0].Host != "web1" {
		t.Errorf("the same of one plugin: %+v", p)
	}
	p = pluginPage{}
	if r.get("/api/v1/hosts/web1/plugins/tidy", &p); p.Source != "hub" || p.Plugins[0].Name != "tidy" || !strings.Contains(p.Why, "does not tell of plugin tidy") {
		t.Errorf("another plugin than was asked for: %+v", p)
	}
}

func TestLogs(t *testing.T) {
	r := start(t, nil, nil)
	f := func(query, want string) {
		t.Helper()
		var p telemetry.LogPage
		r.get("/api/v1/hosts/web1/plugins/tidy/logs"+query, &p)
		if told := r.fleet.orders(); told != "logs web1 map["+want+"]" || len(p.Lines) != 1 || p.Lines[0].Text != "hello" {
			t.Errorf("%s: %+v, told %s", query, p, told)
		}
	}
	f("", "plugin:tidy tail:100")
	f("?tail=5", "plugin:tidy tail:5")
	f("?after=7", "after:7 plugin:tidy tail:0")
	f("?after=7&tail=5", "after:7 plugin:tidy tail:5")
}

func TestReady(t *testing.T) {
	r := start(t, nil, nil)
	a := r.ask("GET", "/-/ready", "")
	if a.StatusCode != 503 || !strings.Contains(a.text, `"waits":["bus: no connection yet"]`) {
		t.Errorf("%s %s", a.Status, a.text)
	}
	r.fleet.status.Ready, r.fleet.status.Waits = false, []string{"warm-up"}
	if a = r.ask("GET", "/-/ready", ""); !strings.Contains(a.text, `["warm-up","bus: no connection yet"]`) {
		t.Errorf("%s", a.text)
	}
	if a = r.ask("GET", "/-/healthy", ""); a.StatusCode != 200 || a.text != "ok\n" {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if a = r.ask("HEAD", "/-/healthy", ""); a.StatusCode != 200 || a.text != "" {
		t.Errorf("HEAD: %s %s", a.Status, a.text)
	}
}

// TestEnd closes a server that has a request under way.
func TestEnd(t *testing.T) {
	r := start(t, nil, nil)
	begun := make(chan bool)
	r.fleet.answer = silent(begun)
	go func() {
		<-begun
		r.close()
	}()
	began := time.Now()
	if a := r.ask("POST", "/api/v1/hosts/web1/plugins/tidy/start?wait=1m", ""); a.StatusCode != 503 && a.StatusCode != 202 {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if time.Since(began) > 50*time.Second { // it has not waited for its answer
		t.Errorf("it took %v", time.Since(began))
	}
}
