package config

import "testing"

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
