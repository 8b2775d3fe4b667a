package telemetry

import (
	"reflect"
	"testing"
	"time"
)

// A plugin that somebody else is to start has no program yet, and one that does not run no process.
func TestPluginListOfTheAbsent(t *testing.T) {
	list := PluginList{Plugins: []PluginStatus{{Name: "mine", Kind: "collector", Host: "h1", State: "awaited", Attached: true}}}
	for _, enc := range []Encoding{MsgPack, JSON} {
		body, err := EncodeControl(list, enc)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := DecodePluginList(body)
		if err != nil || len(got.Plugins) != 1 || !reflect.DeepEqual(got, list) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// When points were lost passes the wire.
func TestLossesOnTheWire(t *testing.T) {
	p := PluginStatus{Name: "mine", Kind: "collector", Host: "h1", State: "running", Sound: true}
	p.NoteLoss("overflow", time.Unix(7, 0))
	p.NoteLoss("overflow", time.Unix(5, 0))
	list := PluginList{Plugins: []PluginStatus{p}}
	for _, enc := range []Encoding{MsgPack, JSON} {
		body, err := EncodeControl(list, enc)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := DecodePluginList(body); err != nil || !reflect.DeepEqual(got, list) || got.Plugins[0].Losses["overflow"] != 7e9 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}
