package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestHostList(t *testing.T) {
	list := sampleHosts()
	r := fleetOf(t, map[string]answer{"hosts": pages(list, 2)})
	got := r.run("host", "list")
	expect(t, got, 0)
	r.golden(t, "list.txt", got.out)
	r.hub.expect(t, "hosts {}", `hosts {"after":"web1"}`, `hosts {"after":"x9"}`)
	expect(t, r.run("host", "list", "--state", "down", "--owner", "ops", "--site", "lab", "--label", "rack=a7", "--label", "zone=b"), 0, "web2", "1 DOWN")
	r.hub.expect(t, `hosts {"label":["rack=a7","zone=b"],"owner":"ops","site":"lab","state":"DOWN"}`)
	expect(t, r.run("host", "list", "--state", "upp"), exitUsage, "did you mean UP?")
	expect(t, r.run("host", "list", "--state", "gone"), exitUsage, "want DOWN, OVERDUE, UNKNOWN, UP or LEFT")
	expect(t, r.run("host", "list", "--label", "rack"), exitUsage, "want key=value")
	r.hub.set("hosts", pages(nil, 2))
	expect(t, r.run("host", "list"), 0, "no hosts", "!HOST")
	if empty := r.run("host", "list", "-o", "json"); empty.out != "[]\n" {
		t.Errorf("%q", empty.out)
	}
}

// The keys of JSON are always there, whatever is known.
func TestHostListAsJSON(t *testing.T) {
	r := fleetOf(t, map[string]answer{"hosts": pages(sampleHosts(), 10)})
	got := r.run("host", "list", "-o", "json")
	var rows []map[string]any
	if err := json.Unmarshal([]byte(got.out), &rows); err != nil || len(rows) != 5 || got.err != "" {
		t.Fatalf("%s%s: %v", got.out, got.err, err)
	}
	for _, row := range rows {
		for _, key := range []string{"host", "name", "state", "reason", "since", "stable", "flags", "owner", "site", "labels", "version", "os", "arch", "age_ms", "int_ms", "rtt_us", "off_us"} {
			if v, ok := row[key]; !ok || v == nil {
				t.Errorf("%v has no %s", row["host"], key)
			}
		}
	}
	if rows[0]["host"] != "web2" || rows[0]["state"] != "DOWN" {
		t.Errorf("the first is %v", rows[0])
	}
}

// wholeVerbs answer what info asks for.
func wholeVerbs() map[string]answer {
	list := sampleHosts()
	return map[string]answer{
		"hosts": pages(list, 10), "host": oneOf(list),
		"plugins": func(args map[string]any) (any, *telemetry.Fault) {
			if args["after"] == "web1/app" {
				return telemetry.PluginList{Plugins: []telemetry.PluginStatus{{Name: "host", Host: "web1", Kind: "collector", Program: "host", State: "running", Since: ago(2 * time.Minute)}}}, nil
			}
			return telemetry.PluginList{More: true, Plugins: []telemetry.PluginStatus{
				{Name: "app", Host: "web1", Kind: "collector", Program: "app", Version: "2.1", State: "failed", Reason: "exit code 1\x1b[2J", Since: ago(90 * time.Second), Restarts: 10}}}, nil
		},
		"inventory": says(telemetry.InventoryPage{Items: []telemetry.RefreshItem{
			{InventoryItem: telemetry.InventoryItem{Plugin: "os", Type: "info", Version: "0.4.0"}, Size: 16 << 10, AgeMS: 61_000},
			{InventoryItem: telemetry.InventoryItem{Plugin: "packages", Type: "info"}, Size: 300, AgeMS: 5_000,
				Error: &telemetry.Fault{Code: telemetry.FaultDependency, Message: "no dpkg here"}},
		}}),
	}
}

func TestHostInfo(t *testing.T) {
	r := fleetOf(t, wholeVerbs())
	got := r.run("host", "info", "www")
	expect(t, got, 0, "!\x1b")
	r.golden(t, "info.txt", got.out)
	r.hub.expect(t, `host {"host":"www"}`, `plugins {"host":"web1"}`, `plugins {"after":"web1/app","host":"web1"}`, `inventory {"host":"web1"}`)

	got = r.run("host", "info", "web1", "-o", "json")
	times := regexp.MustCompile(`"(since|beat)":"[^"]*"`)
	r.golden(t, "info.json", times.ReplaceAllString(got.out, `"$1":"TIME"`), `"version":"`+version()+`"`, `"version":"OURS"`)
	r.hub.set("plugins", says(telemetry.PluginList{Plugins: []telemetry.PluginStatus{}}))
	expect(t, r.run("host", "info", "y9"), 0, "none since the hub started", "0 of 0 entries")
	r.hub.set("plugins", says(telemetry.PluginList{More: true, Plugins: []telemetry.PluginStatus{{Name: "app", Kind: "collector", Host: "y9", State: "running"}}}))
	expect(t, r.run("host", "info", "y9"), exitFailed, `the hub repeats itself: after "app" it lists "app"`)
}

// facts answers one entry in pieces of n bytes.
func facts(text string, n int) answer {
	return func(args map[string]any) (any, *telemetry.Fault) {
		if args["entry"] == nil {
			return telemetry.InventoryPage{Items: []telemetry.RefreshItem{{InventoryItem: telemetry.InventoryItem{Plugin: "os", Type: "info"}}}}, nil
		}
		if args["entry"] != "os/info" {
			return nil, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: fmt.Sprintf("no such inventory entry: %v", args["entry"])}
		}
		from := 0
		switch o := args["offset"].(type) {
		case int64:
			from = int(o)
		case uint64:
			from = int(o)
		}
		return telemetry.InventoryPage{Size: int64(len(text)), Text: string(text[from:min(from+n, len(text))])}, nil
	}
}

func TestFacts(t *testing.T) {
	const text = `{"host":"web1","data":{"kernel":"6.1","swap":true}}`
	r := fleetOf(t, map[string]answer{"inventory": facts(text, 7)})
	if got := r.run("host", "info", "web1", "--facts", "os/info", "-o", "json"); got.out != text+"\n" || got.code != 0 {
		t.Errorf("%q, %s", got.out, got.err)
	}
	expect(t, r.run("host", "info", "web1", "--facts", "os/info"), 0, "{\n  \"host\": \"web1\",\n  \"data\": {\n    \"kernel\": \"6.1\",")
	expect(t, r.run("host", "info", "web1", "--facts", "so/info"), exitUsage, "no such inventory entry: so/info", "did you mean os/info?")
	for _, wrong := range []string{"os", "/info", "os/", ""} {
		expect(t, r.run("host", "info", "web1", "--facts", wrong), exitUsage, "want PLUGIN/TYPE")
	}
	r.hub.set("inventory", says(telemetry.InventoryPage{Size: 100}))
	expect(t, r.run("host", "info", "web1", "--facts", "os/info"), exitFailed, "ends after 0 of 100 bytes")
	r.hub.set("inventory", says(telemetry.InventoryPage{Size: 1 << 40, Text: "x"}))
	expect(t, r.run("host", "info", "web1", "--facts", "os/info"), exitFailed, "shown at most")
	r.hub.set("inventory", says(telemetry.InventoryPage{Size: 1, Text: "{"}))
	expect(t, r.run("host", "info", "web1", "--facts", "os/info"), exitFailed, "os/info of web1: ")
}

// An entry that is collected anew while it is read is read from its beginning.
func TestFactsChange(t *testing.T) {
	var asked atomic.Int64
	r := fleetOf(t, map[string]answer{"inventory": func(args map[string]any) (any, *telemetry.Fault) {
		if asked.Add(1) == 1 {
			return facts(`{"old":"one"}`, 4)(args)
		}
		return facts(`{"new":1}`, 4)(args)
	}})
	if got := r.run("host", "info", "web1", "--facts", "os/info", "-o", "json"); got.out != `{"new":1}`+"\n" {
		t.Errorf("%q, %s", got.out, got.err)
	}
	r.hub.set("inventory", func(args map[string]any) (any, *telemetry.Fault) {
		return facts(`{"x":"`+strings.Repeat("y", int(asked.Add(1)))+`"}`, 4)(args)
	})
	expect(t, r.run("host", "info", "web1", "--facts", "os/info"), exitTryAgain, "changes while it is read")
}

func TestForget(t *testing.T) {
	r := fleetOf(t, map[string]answer{"forget": says(telemetry.HostList{Hosts: []telemetry.HostStatus{}})})
	expect(t, r.run("host", "forget", "web1"), 0, "web1 is forgotten\n")
	r.hub.expect(t, `forget {"host":"web1"}`)
	if got := r.run("host", "forget", "web1", "-o", "json"); got.out != `{"host":"web1"}`+"\n" {
		t.Errorf("%q", got.out)
	}
	r.hub.set("forget", fails(telemetry.FaultDependency, "another hub speaks"))
	expect(t, r.run("host", "forget", "web1", "-o", "json"), exitFailed, `{"host":"web1","error":{"code":"dependency","message":"another hub speaks"}}`)
}

func TestSilence(t *testing.T) {
	until := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	r := fleetOf(t, map[string]answer{"silence": func(args map[string]any) (any, *telemetry.Fault) {
		h := telemetry.HostStatus{Host: "web1", State: "UP"}
		if fmt.Sprint(args["ms"]) != "0" {
			h.Until = until.UnixNano()
		}
		return telemetry.HostList{Hosts: []telemetry.HostStatus{h}}, nil
	}})
	expect(t, r.run("host", "silence", "web1", "--for", "2h"), 0, "web1 raises no alarm until "+until.Format("2006-01-02 15:04:05"))
	expect(t, r.run("host", "silence", "web1", "--end"), 0, "web1 raises alarms again")
	r.hub.expect(t, `silence {"host":"web1","ms":7200000}`, `silence {"host":"web1","ms":0}`)
	if got := r.run("host", "silence", "web1", "--for", "2h", "-o", "json"); got.out != `{"host":"web1","until":"`+until.UTC().Format(time.RFC3339)+`"}`+"\n" {
		t.Errorf("%q", got.out)
	}
	expect(t, r.run("host", "silence", "web1"), exitUsage, "say how long (--for 2h), or --end")
	expect(t, r.run("host", "silence", "web1", "--for", "1h", "--end"), exitUsage, "say how long")
	expect(t, r.run("host", "silence", "web1", "--for", "-1h", "-o", "json"), exitUsage, `"error":{"code":"usage"`)
}

func TestHostWait(t *testing.T) {
	var asked atomic.Int64
	up := telemetry.HostStatus{Host: "web1", State: "UP", Since: ago(3 * time.Second)}
	r := fleetOf(t, map[string]answer{"hosts": pages(nil, 1), "host": func(map[string]any) (any, *telemetry.Fault) {
		switch asked.Add(1) {
		case 1:
			return nil, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: "no such host"}
		case 2:
			return telemetry.HostList{Hosts: []telemetry.HostStatus{{Host: "web1", State: "DOWN"}}}, nil
		}
		return telemetry.HostList{Hosts: []telemetry.HostStatus{up}}, nil
	}})
	expect(t, r.run("host", "wait", "web1"), 0, "web1 is UP for ")
	expect(t, r.run("host", "wait", "web1", "-o", "json"), 0, `{"host":"web1","name":"","state":"UP"`)
	r.hub.set("host", says(telemetry.HostList{Hosts: []telemetry.HostStatus{{Host: "web1", State: "DOWN", Reason: "silent"}}}))
	vain := func(why string) {
		t.Helper()
		limit := 50 * time.Millisecond
		expect(t, eventually(t, func() said { limit *= 2; return r.run("host", "wait", "web1", "--timeout", limit.String()) }, why), exitTryAgain,
			fmt.Sprintf("web1 is not UP after %v: ", limit))
	}
	vain("it is DOWN (silent)")
	expect(t, r.run("host", "wait", "web1", "--state", "Down"), 0, "web1 is DOWN")
	expect(t, r.run("host", "wait", "web1", "--state", "asleep"), exitUsage, `--state "asleep"`)
	expect(t, r.run("host", "wait", "web1", "--timeout", "0s"), exitUsage, "--timeout 0s")
	r.hub.set("host", fails(telemetry.FaultDenied, "not you"))
	expect(t, r.run("host", "wait", "web1"), exitConfig, "not you")
	r.hub.stop()
	vain("no hub answers on this bus")
}
