package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func packages(n int) PluginData {
	list := make([]any, n)
	for i := range list {
		list[i] = fmt.Sprintf("päckage-%d 1.2.%d", i, i)
	}
	return PluginData{Version: 1, Host: "web-1", Plugin: "packages", Type: DataInfo, Time: 1, Data: Facts{"packages": list}}
}

func TestPluginDataSplitAndJoin(t *testing.T) {
	f := func(n int, enc Encoding, want int) {
		t.Helper()
		whole := packages(n)
		parts, err := whole.Split(enc)
		if err != nil || len(parts) != want {
			t.Fatalf("%d packages as %v: %d parts, %v; want %d", n, enc, len(parts), err, want)
		}
		for i, p := range parts {
			b, err := EncodeControl(p, enc)
			if err != nil {
				t.Fatal(err)
			}
			if parts[i], _, err = DecodePluginData(b); err != nil {
				t.Fatal(err)
			}
		}
		got := parts[0]
		if want > 1 {
			if got, err = JoinPluginData(parts); err != nil {
				t.Fatal(err)
			}
		}
		data, err := whole.Data.Encode(enc)
		if err != nil {
			t.Fatal(err)
		}
		whole.Digest = DigestOf(data)
		if !reflect.DeepEqual(got, whole) {
			t.Errorf("%d packages as %v do not come back", n, enc)
		}
	}
	f(10, MsgPack, 1)
	f(10, JSON, 1)
	f(30_000, MsgPack, 3)
	f(30_000, JSON, 7)
	f(100_000, MsgPack, 11)
	f(100_000, JSON, 22)
}

func TestPluginDataJSONPartsAreText(t *testing.T) {
	parts, err := packages(30_000).Split(JSON)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if !utf8.Valid(p.Chunk) {
			t.Errorf("part %d splits a character", p.Part)
		}
	}
}

func TestPluginDataPartKeepsItsEncoding(t *testing.T) {
	part := PluginData{Version: 1, Host: "h", Plugin: "p", Type: DataInfo, Chunk: Chunk{0x81, 0xff}, Part: 1, Parts: 2}
	if b, err := EncodeControl(part, JSON); !errors.Is(err, ControlType) {
		t.Errorf("part in msgpack as JSON = %q, %v; want type", b, err)
	}
}

func TestPluginDataErrorIsOneMessage(t *testing.T) {
	failed := PluginData{Version: 1, Host: "h", Plugin: "p", Type: DataInfo, Error: &Fault{Code: FaultDenied}}
	parts, err := failed.Split(MsgPack)
	if err != nil || len(parts) != 1 || !reflect.DeepEqual(parts[0], failed) {
		t.Errorf("parts = %+v, %v", parts, err)
	}
}

func TestPluginDataTooLarge(t *testing.T) {
	big := packages(1)
	big.Data["text"] = strings.Repeat("x", MaxPluginData)
	if _, err := big.Split(MsgPack); !errors.Is(err, ControlLimit) {
		t.Errorf("split of 8 MiB and more: %v; want limit", err)
	}
	big.Data["text"] = func() {}
	if _, err := big.Split(MsgPack); !errors.Is(err, ControlType) {
		t.Errorf("split of a function: %v; want type", err)
	}
}

func TestJoinRefuses(t *testing.T) {
	f := func(what string, want ControlCode, change func(parts []PluginData) []PluginData) {
		t.Helper()
		parts, err := packages(30_000).Split(MsgPack)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := JoinPluginData(change(parts)); !errors.Is(err, want) {
			t.Errorf("%s: %v; want %s", what, err, want)
		}
	}
	f("nothing", ControlRequired, func([]PluginData) []PluginData { return nil })
	f("a part missing", ControlRequired, func(p []PluginData) []PluginData { return p[:2] })
	f("a whole message", ControlRequired, func(p []PluginData) []PluginData { return []PluginData{packages(1)} })
	f("wrong order", ControlRange, func(p []PluginData) []PluginData { p[1], p[2] = p[2], p[1]; return p })
	f("of another inventory", ControlRange, func(p []PluginData) []PluginData { p[1].Digest[0]++; return p })
	f("changed", ControlRange, func(p []PluginData) []PluginData { p[1].Chunk[7]++; return p })
	f("a bomb in parts", ControlTruncated, func(p []PluginData) []PluginData {
		p = p[:2]
		p[0].Chunk, p[1].Chunk = Chunk{0xdd, 0xff}, Chunk{0xff, 0xff, 0xff}
		for i := range p {
			p[i].Parts, p[i].Digest = 2, DigestOf([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
		}
		return p
	})
	f("too many values in parts", ControlLimit, func(p []PluginData) []PluginData {
		data := append([]byte{0x81, 0xa1, 'x', 0xdd, 0, 6, 0x1a, 0x80}, bytes.Repeat([]byte{0x80}, joinedValues)...)
		p = p[:2]
		p[0].Chunk, p[1].Chunk = data[:100], data[100:]
		for i := range p {
			p[i].Parts, p[i].Digest = 2, DigestOf(data)
		}
		return p
	})
}
