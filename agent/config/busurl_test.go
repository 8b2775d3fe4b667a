package config

import (
	"strings"
	"testing"
)

// A bus that is named besides overrules the text, also in what is judged by it: on a bus of others somebody else may read.
func TestBusURL(t *testing.T) {
	f := func(url string, embedded bool, warnings int) {
		t.Helper()
		o := Options{Programs: []Program{{Kind: Collector, Name: "host", Schema: []byte(`{"type":"object"}`)}}, BusURL: url}
		s, err := Parse(o, "a.yaml", []byte("collect: { host: {} }\n"))
		if err != nil {
			t.Fatal(err)
		}
		if s.Bus.Embedded != embedded || len(s.Warnings) != warnings {
			t.Errorf("bus %+v, warnings %v", s.Bus, s.Warnings)
		}
	}
	f("", true, 1)
	f("nats://bus.example:4222", false, 0)
}

// What is to go on without the agent needs a bus that does, whoever names it.
func TestKeepNeedsABus(t *testing.T) {
	f := func(url, text string, good bool) {
		t.Helper()
		for _, offline := range []bool{false, true} {
			o := options()
			o.BusURL, o.Offline = url, offline
			_, err := Parse(o, "a.yaml", []byte(text))
			if good != (err == nil) || err != nil && (len(messages(err)) != 1 || !strings.Contains(err.Error(), "the embedded bus ends with the agent")) {
				t.Errorf("bus %q, offline %v: %q: %v", url, offline, text, err)
			}
		}
	}
	const keeps = "collect: { cpu: { on_agent_exit: keep } }\n"
	f("", keeps, false)
	f("", "bus: embedded\n"+keeps, false)
	f("", "bus: nats://b\n"+keeps, true)
	f("nats://b", keeps, true)
	f("nats://b", "bus: { sync: 1s }\n"+keeps, true)
}

// A bus that is misspelt is no embedded one: one fault is told, not what follows from it.
func TestKeepOnABadBus(t *testing.T) {
	for _, bus := range []string{"nat://b", "{ urls: [nat://b] }"} {
		_, err := Parse(options(), "a.yaml", []byte("bus: "+bus+"\ncollect: { cpu: { on_agent_exit: keep } }\n"))
		if got := messages(err); len(got) != 1 || !strings.Contains(got[0], "want embedded, or a URL") {
			t.Errorf("%s: %q", bus, got)
		}
	}
}

// What is compressed has to be a WebSocket connection, whoever names it.
func TestCompressNeedsWebSocket(t *testing.T) {
	f := func(url, text string, good bool) {
		t.Helper()
		o := options()
		o.BusURL = url
		s, err := Parse(o, "a.yaml", []byte("bus: "+text+"\ncollect: { cpu: {} }\n"))
		if good != (err == nil) || err != nil && (len(messages(err)) != 1 || !strings.Contains(err.Error(), "NATS compresses WebSocket connections alone")) {
			t.Errorf("bus %q, %s: %v", url, text, err)
		}
		if good && s.Bus.Spool.Compress != strings.Contains(text, "compress: true") {
			t.Errorf("%s: %+v", text, s.Bus.Spool)
		}
	}
	f("", "{ urls: wss://b, spool: { compress: true } }", true)
	f("", "{ spool: { compress: true }, urls: [ws://b, wss://c] }", true)
	f("", "{ urls: tls://b, spool: { compress: false } }", true)
	f("", "{ urls: tls://b, spool: { compress: true } }", false)
	f("", "{ urls: [wss://b, nats://c], spool: { compress: true } }", false)
	f("nats://b", "{ urls: wss://b, spool: { compress: true } }", false)
	f("ws://b,wss://c", "{ urls: nats://b, spool: { compress: true } }", true)
}
