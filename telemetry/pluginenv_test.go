package telemetry

import (
	"slices"
	"strings"
	"testing"
)

func TestPluginEnv(t *testing.T) {
	want := []string{"PACEWIRE_BUS=nats://127.0.0.1:4222", "PACEWIRE_PLUGIN=nginx"}
	for _, enc := range []Encoding{MsgPack, JSON} {
		b, err := EncodeControl(PluginEnv{want}, enc)
		if err != nil {
			t.Fatal(err)
		}
		if got, gotEnc, err := DecodePluginEnv(b); err != nil || gotEnc != enc || !slices.Equal(got.Environ, want) {
			t.Errorf("%v: %v, %v", enc, got, err)
		}
	}
	if _, err := EncodeControl(PluginEnv{[]string{strings.Repeat("x", 64<<10)}}, MsgPack); err == nil {
		t.Error("an environment of 64 KiB has room")
	}
}
