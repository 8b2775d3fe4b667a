package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// lay puts a dead letter of plugin onto the bus.
func lay(t *testing.T, b *bustest.Bus, plugin, reason, fault, contentType string, body []byte) {
	t.Helper()
	p, err := bus.NewPublisher(b.Conn(t, "hub"), bus.PublisherOptions{Host: "h1", Plugin: plugin})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	m := bus.Message{Subject: bus.DeadSubject(plugin), ContentType: contentType, Body: body, Header: map[string]string{
		bus.HeaderReason: reason, bus.HeaderError: fault, bus.HeaderSubject: bus.MetricsSubject("web1", "app"),
		bus.HeaderSourceID: "web1/app/b00t/" + string(body), bus.HeaderDeliveries: "3", bus.HeaderStreamSeq: "9",
	}}
	if err := p.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// layThree puts two letters of db and one of mail onto the bus.
func layThree(t *testing.T, b *bustest.Bus) {
	t.Helper()
	lines := string(telemetry.ContentLines)
	lay(t, b, "db", "rejected", "status 400:\x1b[2J no", lines, []byte("job,k=a v=1 1\njob,k=b v=2 1\n"))
	lay(t, b, "mail", "rejected", "nobody there", lines, []byte("job v=3 1\n"))
	lay(t, b, "db", "decode", "not points", lines, []byte("<html>"))
}

func TestDeadList(t *testing.T) {
	r := fleetOf(t, nil)
	expect(t, r.run("dead", "list"), 0, "no dead letters")
	layThree(t, r.bus)
	f := func(want []string, args ...string) {
		t.Helper()
		got := r.run(append([]string{"dead", "list"}, args...)...)
		expect(t, got, 0)
		var lines []string
		for _, line := range strings.Split(strings.TrimSpace(got.out), "\n")[1:] {
			fields := strings.Fields(line)
			lines = append(lines, strings.Join(append(fields[:1:1], fields[2:]...), " ")) // without the age
		}
		if fmt.Sprint(lines) != fmt.Sprint(want) {
			t.Errorf("%v: %q, want %q", args, lines, want)
		}
	}
	one, two, three := "1 db rejected web1/app 2 status 400:\ufffd[2J no", "2 mail rejected web1/app 1 nobody there", "3 db decode web1/app 0 not points"
	f([]string{one, two, three})
	f([]string{one, three}, "--plugin", "db")
	f([]string{one, two}, "--reason", "rejected")
	f([]string{two, three}, "-n", "2", "--since", "1h")
	expect(t, r.run("dead", "list", "-n", "-1"), exitUsage, "-n -1")
	expect(t, r.run("dead", "list", "--since", "-1h"), exitUsage, "--since -1h0m0s: want how long ago")
	expect(t, r.run("dead", "drop", "--all", "--since", "-1h"), exitUsage, "--since -1h0m0s: want how long ago")
}

// What no letter fits is told from what there is none of: a typo, or a plugin and a reason that merely have no letters.
func TestDeadOfNobody(t *testing.T) {
	r := fleetOf(t, nil)
	layThree(t, r.bus)
	if err := r.bus.Conn(t, "hub").EnsureConsumer(t.Context(), bus.Input{Stream: bus.StreamMetrics, Durable: "quiet", Filters: []string{bus.MetricsFilter("app")}}); err != nil {
		t.Fatal(err)
	}
	f := func(code int, word string, args ...string) {
		t.Helper()
		for _, verb := range []string{"list", "drop"} {
			expect(t, r.run(append([]string{"dead", verb, "--plugin"}, args...)...), code, word)
		}
	}
	f(exitUsage, `"dbb" reads this bus, nor has one of that name dead letters: did you mean db?`, "dbb")
	f(exitUsage, "pacewire dead list names those that have", "elsewhere")
	f(exitUsage, `there is no reason "rejectd": did you mean rejected?`, "db", "--reason", "rejectd")
	f(exitUsage, `there is no reason "rubbish": known are rejected, `, "db", "--reason", "rubbish")
	f(0, "", "quiet")
	f(0, "", "db", "--reason", "truncated")
	f(0, "", bus.Uplink)
}

func TestLetterReasons(t *testing.T) {
	list := letterReasons()
	for _, reason := range []string{"rejected", "processor", "crash", "subject", "denied", "empty", "content_type", "truncated", "time_skew"} {
		if !slices.Contains(list, reason) {
			t.Errorf("%q lacks %s", list, reason)
		}
	}
}

func TestRetryInVain(t *testing.T) {
	f := func(d lettersDone, vain bool) {
		t.Helper()
		if err := d.vain(); (err != nil) != vain {
			t.Errorf("%+v: %v", d, err)
		}
	}
	f(lettersDone{}, false)
	f(lettersDone{Retried: []uint64{1}, Refused: []uint64{7}}, true)
	f(lettersDone{Retried: []uint64{1, 2}, Refused: []uint64{7}, Delivered: 1}, false)
	f(lettersDone{Retried: []uint64{1, 2}, Refused: []uint64{7}, Waiting: 1}, false)
}

func TestDeadShow(t *testing.T) {
	r := fleetOf(t, nil)
	layThree(t, r.bus)
	expect(t, r.run("dead", "show", "1"), 0, "reason     rejected", "status 400:", "web1/app", "web1/app/b00t/", "given out  3\n", "points     2\n", "  job,k=a v=1 1\n  job,k=b v=2 1\n", "!\x1b")
	expect(t, r.run("dead", "show", "3"), 0, "not points", "  <html>\n")
	expect(t, r.run("dead", "show", "7"), exitUsage, "no such dead letter: 7", "pacewire dead list")
	expect(t, r.run("dead", "show", "one"), exitUsage, `"one" is no id`)
	expect(t, r.run("dead", "show"), exitUsage)
	got := r.run("dead", "show", "2", "-o", "json")
	expect(t, got, 0)
	var row letterRow
	if err := json.Unmarshal([]byte(got.out), &row); err != nil {
		t.Fatal(err)
	}
	if row.ID != 2 || row.Plugin != "mail" || row.Host != "web1" || row.From != "app" || row.Deliveries != 3 || fmt.Sprint(row.Lines) != "[job v=3 1]" || time.Since(row.At) > time.Hour {
		t.Errorf("%+v", row)
	}
}

func TestDeadDrop(t *testing.T) {
	r := fleetOf(t, nil)
	layThree(t, r.bus)
	expect(t, r.run("dead", "drop"), exitUsage, "which letters?")
	expect(t, r.run("dead", "drop", "--reason", "rejected"), exitUsage, "which letters?")
	expect(t, r.run("dead", "drop", "1", "--all"), exitUsage, "not both")
	missing := r.run("dead", "drop", "9", "2")
	expect(t, missing, exitUsage, "1 letter dropped", "no such dead letter: 9")
	if strings.Count(missing.err, "pacewire dead list") != 1 {
		t.Errorf("%s", missing.err)
	}
	expect(t, r.run("dead", "drop", "9", "-o", "json"), exitUsage, `"error":{"code":"not_found"`)
	got := r.run("dead", "drop", "--all", "-o", "json")
	expect(t, got, 0)
	if want := `{"retried":[],"delivered":0,"refused":[],"dropped":[1,3]}` + "\n"; got.out != want {
		t.Errorf("%s, want %s", got.out, want)
	}
	expect(t, r.run("dead", "list"), 0, "no dead letters")
}

// Letters are given again through the agent of their plugin; those of a plugin that is not there stay as they are.
func TestDeadRetry(t *testing.T) {
	r := fleetOf(t, nil)
	layThree(t, r.bus)
	refused := false
	agent := respond(t, r.bus, "h1", map[string]answer{
		"info": func(args map[string]any) (any, *telemetry.Fault) {
			if args["plugin"] != "db" {
				return nil, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: "host h1 has no plugin mail"}
			}
			return telemetry.PluginList{Plugins: []telemetry.PluginStatus{{Name: "db", Host: "h1", Kind: "publisher", State: "running"}}}, nil
		},
		"again": func(map[string]any) (any, *telemetry.Fault) {
			if refused {
				return nil, &telemetry.Fault{Code: telemetry.FaultInternal, Message: "again db: no"}
			}
			return telemetry.ChangeList{Changes: []telemetry.Change{{Plugin: "db", Action: telemetry.ChangeAgain}}}, nil
		},
	})
	expect(t, r.run("dead", "retry", "2"), exitUsage, "0 letters given again", "has no plugin mail")
	got := r.run("dead", "retry", "--all")
	expect(t, got, exitUsage, "2 letters given again, 2 delivered, 0 refused again, 1 not given again", "has no plugin mail")
	asked := agent.got()
	if want := `again {"from":4,"plugin":"db","to":5}`; asked[len(asked)-2] != want {
		t.Errorf("asked %q, want %s", asked, want)
	}
	expect(t, r.run("dead", "list"), 0, "nobody there", "decode", "given again, and nobody reads it: not points") // this agent only says so
	expect(t, r.run("dead", "show", "5"), 0, "state      given again")
	expect(t, r.run("dead", "drop", "5"), 0, "1 letter dropped")
	refused = true
	lay(t, r.bus, "db", "rejected", "no", string(telemetry.ContentLines), []byte("job v=9 1\n"))
	expect(t, r.run("dead", "retry", "--plugin", "db"), exitFailed, "0 letters given again", "again db: no")
	expect(t, r.run("dead", "list"), 0, "db      rejected")
}

// What an uplink has set aside is stored again where it was.
func TestDeadRetryOfUplink(t *testing.T) {
	r := fleetOf(t, nil)
	lay(t, r.bus, bus.Uplink, "denied", "no", string(telemetry.ContentLines), []byte("job v=9 1\n"))
	respond(t, r.bus, "h1", map[string]answer{})
	expect(t, r.run("dead", "retry", "--plugin", bus.Uplink), 0, "1 letter given again, 1 delivered, 0 refused again")
	expect(t, r.run("dead", "list"), 0, "no dead letters")
	s, err := r.bus.Conn(t, operator).StreamInfo(t.Context(), bus.StreamMetrics)
	if err != nil || s.Messages != 1 {
		t.Errorf("stream: %+v, %v", s, err)
	}
}

func TestRefusedAgain(t *testing.T) {
	b := bustest.New(t)
	conn := b.Conn(t, operator)
	layThree(t, b)
	l, err := conn.Letter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	lay(t, b, "db", "rejected", "still no", l.ContentType, l.Body) // of the same source
	lay(t, b, "db", "rejected", "no", l.ContentType, []byte("other v=1 1\n"))
	f := func(begin uint64, want string) {
		t.Helper()
		if got, err := refusedAgain(t.Context(), conn, []bus.Letter{l}, begin); err != nil || fmt.Sprint(got) != want {
			t.Errorf("behind %d: %v, %v", begin, got, err)
		}
	}
	f(4, "[4]")
	f(5, "[]") // that is another part of the batch, of before
}
