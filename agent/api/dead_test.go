package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// lay puts dead letters of plugin, with a point each, onto the bus.
func lay(t *testing.T, b *bustest.Bus, plugin, reason string, n int) {
	t.Helper()
	p, err := bus.NewPublisher(b.Conn(t, "hub"), bus.PublisherOptions{Host: "web1", Plugin: plugin})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range n {
		m := bus.Message{Subject: bus.DeadSubject(plugin), ContentType: string(telemetry.ContentLines), Body: fmt.Appendf(nil, "job v=%d 1\n", i), Header: map[string]string{
			bus.HeaderReason: reason, bus.HeaderError: "no", bus.HeaderSubject: bus.MetricsSubject("db1", "cpu"), bus.HeaderSourceID: "db1/cpu/b00t/1", bus.HeaderDeliveries: "2",
		}}
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLetters(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	lay(t, b, "tidy", "crash", 2)
	lay(t, b, "mail", "rejected", 2)
	f := func(query string, next uint64, more bool, want ...uint64) {
		t.Helper()
		var page deadPage
		r.get("/api/v1/dead"+query, &page)
		var got []uint64
		for _, l := range page.Letters {
			got = append(got, l.ID)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || page.Next != next || page.More != more {
			t.Errorf("%s: %v, next %d, more %v; want %v, %d, %v", query, got, page.Next, page.More, want, next, more)
		}
	}
	f("", 4, false, 1, 2, 3, 4)
	f("?limit=3", 3, true, 1, 2, 3)
	f("?limit=3&after=3", 4, false, 4)
	f("?after=9", 9, false)
	f("?plugin=tidy", 2, false, 1, 2)
	f("?reason=rejected", 4, false, 3, 4)
	var l deadLetter
	r.get("/api/v1/dead/2", &l)
	if l.Plugin != "tidy" || l.Reason != "crash" || l.Error != "no" || l.Host != "db1" || l.From != "cpu" || l.SourceID != "db1/cpu/b00t/1" ||
		l.Deliveries != 2 || l.Points != 1 || fmt.Sprint(l.Lines) != "[job v=1 1]" || time.Since(time.Unix(0, l.At)) > time.Hour {
		t.Errorf("%+v", l)
	}
	bad := func(method, path string, status int, code string) {
		t.Helper()
		if a := r.ask(method, "/api/v1/dead"+path, ""); a.StatusCode != status || a.code() != code {
			t.Errorf("%s %s: %s %s", method, path, a.Status, a.text)
		}
	}
	bad("GET", "/7", 404, "no_letter")
	bad("GET", "/x", 400, "invalid")
	bad("GET", "?plugin=A+b", 400, "invalid")
	bad("GET", "?after=x", 400, "invalid")
	bad("DELETE", "/7", 404, "no_letter")
	bad("POST", "/7/retry", 404, "no_letter")
	bad("POST", "/3/retry", 409, "no_reader")
}

func TestRetryAndDropLetter(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	lay(t, b, "tidy", "crash", 3)
	a := r.ask("POST", "/api/v1/dead/1/retry", "")
	if a.StatusCode != http.StatusOK || a.text != `{"id":1,"plugin":"tidy","host":"web1"}`+"\n" {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if told, want := r.fleet.orders(), "again web1 map[from:4 plugin:tidy to:4]"; told != want {
		t.Errorf("told %s, want %s", told, want)
	}
	r.fleet.answer = tell(func(string, map[string]any) any {
		return telemetry.Fault{Code: telemetry.FaultNotFound, Message: "no plugin"}
	})
	if a := r.ask("POST", "/api/v1/dead/2/retry?host=web2", ""); a.StatusCode != http.StatusNotFound || a.code() != "agent_not_found" {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if a := r.ask("DELETE", "/api/v1/dead/3", ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if a := r.ask("DELETE", "/api/v1/dead/2", "", "Authorization:"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", a.Status)
	}
	var page deadPage
	r.get("/api/v1/dead", &page)
	if list := page.Letters; len(list) != 2 || list[0].ID != 2 || list[0].State != "" || list[1].ID != 4 || list[1].State != "given again" {
		t.Errorf("%+v: want the one that its plugin was not given, and the copy that nobody reads here", page)
	}
}

// What cannot be given again here is refused, with where or what can be done, and nobody is told of it.
func TestRetryOfUnfitLetter(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	p, err := bus.NewPublisher(b.Conn(t, "hub"), bus.PublisherOptions{Host: "web1", Plugin: "tidy"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	here, body := bus.DeadSubject("tidy"), []byte("job v=1 1\n")
	for _, m := range []bus.Message{
		{Subject: here, Header: map[string]string{bus.HeaderLeftOut: "1048000"}},
		{Subject: bus.CopySubject("edge", here), Body: body},
		{Subject: bus.CopySubject("edge", bus.DeadSubject(bus.Uplink)), Body: body},
		{Subject: here, Body: body},
	} {
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	f := func(id, query string, status int, code, detail, hint string) {
		t.Helper()
		a := r.ask("POST", "/api/v1/dead/"+id+"/retry"+query, "")
		if p := a.problem(); a.StatusCode != status || p.Code != code || !strings.Contains(p.Detail, detail) || !strings.Contains(p.Hint, hint) {
			t.Errorf("%s: %s %s", id, a.Status, a.text)
		}
		if told := r.fleet.orders(); told != "" {
			t.Errorf("%s: told %s", id, told)
		}
	}
	f("1", "", 422, "no_content", "1048000 bytes", "DELETE")
	f("2", "", 409, "kept_elsewhere", "host edge keeps", "pacewire dead retry --plugin 'tidy'")
	f("2", "?host=web1", 409, "kept_elsewhere", "host edge keeps", "on the machine of host edge")
	f("3", "", 409, "kept_elsewhere", "the uplink of host edge", "pacewire dead retry --plugin '~uplink'")
	var page deadPage
	r.get("/api/v1/dead", &page)
	if list := page.Letters; len(list) != 4 || list[0].LeftOut != 1048000 || list[1].KeptAt != "edge" || list[2].KeptAt != "edge" || list[3].KeptAt != "" || list[3].LeftOut != 0 {
		t.Errorf("%+v", page)
	}
	if a := r.ask("POST", "/api/v1/dead/4/retry", ""); a.StatusCode != http.StatusOK {
		t.Errorf("the others go on: %s %s", a.Status, a.text)
	}
	if a := r.ask("DELETE", "/api/v1/dead/1", ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("dropped: %s %s", a.Status, a.text)
	}
}

func TestReplayRoute(t *testing.T) {
	r := start(t, nil, nil)
	f := func(method, query, want string) {
		t.Helper()
		a := r.ask(method, "/api/v1/hosts/www/plugins/tidy/replay"+query, "")
		if told := r.fleet.orders(); a.StatusCode != http.StatusOK || told != want {
			t.Errorf("%s %s: %s; told %s, want %s", method, query, a.Status, told, want)
		}
	}
	f("POST", "?since=2026-01-02T15:04:05Z", "replay web1 map[plugin:tidy since:2026-01-02T15:04:05Z]")
	f("POST", "?since=2026-01-02T15:04:05.5Z&until=2026-01-02T17:04:05%2B01:00", "replay web1 map[plugin:tidy since:2026-01-02T15:04:05.5Z until:2026-01-02T16:04:05Z]")
	f("DELETE", "", "replay web1 map[plugin:tidy stop:true]")
	for _, query := range []string{"", "?since=yesterday", "?since=2h&until=x"} {
		if a := r.ask("POST", "/api/v1/hosts/www/plugins/tidy/replay"+query, ""); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, a.Status)
		}
	}
}
