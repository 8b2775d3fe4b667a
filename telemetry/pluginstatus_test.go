package telemetry

import (
	"reflect"
	"testing"
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
