package telemetry

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// Languages write the same message differently; each form is read as the same.
func TestDecodeLenientForms(t *testing.T) {
	want := Heartbeat{Version: 1, Host: "web-1", Plugin: "cpu", Inst: "9", Seq: 7, IntervalMS: 10000}
	f := func(end string) {
		t.Helper()
		got, enc, err := DecodeHeartbeat(unhexed(t, end))
		if err != nil || enc != MsgPack || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, %v; want %+v", end, got, enc, err, want)
		}
	}
	f("86" + packedBeat + "a3736571 07")
	f("86" + packedBeat + "a3736571 cc07")
	f("86" + packedBeat + "a3736571 d007")
	f("86" + packedBeat + "a3736571 d20000 0007")
	f("86" + packedBeat + "a3736571 cf0000000000000007")
	f("86" + packedBeat + "a3736571 cb401c000000000000")
	f("86" + packedBeat + "a3736571 ca40e00000")
	f("86" + packedBeat + "a3736571 a137")
	f("de0006" + packedBeat + "a3736571 07")
	f("df00000006" + packedBeat + "a3736571 07")
	f("87" + packedBeat + "a3736571 01 a3736571 07")           // a key twice: the last
	f("87" + packedBeat + "a3736571 07 a86d616e6966657374 c0") // nil is absent
	f("87" + packedBeat + "a3736571 07 a3696e76 c0")
	f("87" + packedBeat + "a3736571 07 a161 82 a162 92 81 a163 d6ff00000000 c40100 a164 c0") // unknown

	want.Flags, want.Load = []string{}, map[string]float64{}
	f("88" + packedBeat + "a3736571 07 a5666c616773 80 a46c6f6164 90") // Lua and PHP know one empty table
	want.Flags, want.Load = nil, map[string]float64{"a": 1, "b": -1, "c": 0.5, "d": 1 << 63}
	f("87" + packedBeat + "a3736571 07 a46c6f6164 84 a161 01 a162 ff a163 ca3f000000 a164 cf8000000000000000")
	want.Load = nil
	want.Digest = Digest{15: 0x2a}
	f("87" + packedBeat + "a3736571 07 a3696e76 c410 00*15 2a")
	f("87" + packedBeat + "a3736571 07 a3696e76 d920 30*30 3241") // hex, either case
	want.Digest = Digest{}
	f("87" + packedBeat + "a3736571 07 a3696e76 c400")
	f("87" + packedBeat + "a3736571 07 a3696e76 a0")
}

func TestDecodeJSONIntegers(t *testing.T) {
	f := func(text string, want int64) {
		t.Helper()
		body := `{"v":1,"host":"h","plugin":"p","inst":"i","seq":1,"int_ms":1,"t1":` + text + `}`
		got, enc, err := DecodeHeartbeat([]byte(body))
		if err != nil || enc != JSON || got.T1 != want {
			t.Errorf("t1 %s = %d, %v, %v; want %d", text, got.T1, enc, err, want)
		}
	}
	f("1763559525997744692", 1763559525997744692)
	f(`"1763559525997744692"`, 1763559525997744692)
	f(`"-9223372036854775808"`, -9223372036854775808)
	f("1e3", 1000)
	f("-2.0", -2)
	f("null", 0)
}

// Settings come as JSON text, as bytes or as the value itself.
func TestDecodeConfigForms(t *testing.T) {
	f := func(config, want string) {
		t.Helper()
		body := unhexed(t, "84 a176 01 a3736571 01 a3737276 a168 a57374617465 a86163636570746564")
		body[0]++
		body = append(append(body, unhexed(t, "a6636f6e666967")...), unhexed(t, config)...)
		got, _, err := DecodeAck(body)
		if err != nil || string(got.Config) != want {
			t.Errorf("config %s = %s, %v; want %s", config, got.Config, err, want)
		}
	}
	f("a7 7b2261223a317d", `{"a":1}`)
	f("a9 207b2261223a317d 0a", `{"a":1}`)
	f("c407 7b2261223a317d", `{"a":1}`)
	f("81 a161 01", `{"a":1}`)
	f("82 a162 93 c0 c3 cb3fe0000000000000 a161 cfffffffffffffffff", `{"b":[null,true,0.5],"a":18446744073709551615}`) // order kept
	f("80", `{}`)
	f("90", `{}`)
}

func TestAckWithoutConfigHasNoWork(t *testing.T) {
	got, _, err := DecodeAck([]byte(`{"v":1,"seq":1,"srv":"h","state":"accepted","config":null,"tags":null}`))
	if err != nil || got.Work != nil {
		t.Errorf("Work = %+v, %v; want none", got.Work, err)
	}
	_, _, err = DecodeAck([]byte(`{"v":1,"seq":1,"srv":"h","state":"accepted","tags":{}}`))
	if refused, ok := errors.AsType[*ControlError](err); !ok || refused.Code != ControlRequired || refused.Path != "config" {
		t.Errorf("half of the work: %v; want config required", err)
	}
}

func TestDecodeErrorAsText(t *testing.T) {
	got, _, err := DecodePluginData([]byte(`{"v":1,"host":"h","plugin":"p","type":"info","t":1,"error":"no such file"}`))
	if want := (Fault{Code: FaultInternal, Message: "no such file"}); err != nil || *got.Error != want {
		t.Errorf("error = %+v, %v; want %+v", got.Error, err, want)
	}
}

func TestDecodeFacts(t *testing.T) {
	f := func(text string, want any) {
		t.Helper()
		body := append(unhexed(t, "86 a176 01 a4686f7374 a168 a6706c7567696e a170 a474797065 a469 6e666f a174 01 a464617461 81 a178"), unhexed(t, text)...)
		got, _, err := DecodePluginData(body)
		if err != nil || !reflect.DeepEqual(got.Data["x"], want) {
			t.Errorf("%s = %#v, %v; want %#v", text, got.Data["x"], err, want)
		}
	}
	f("c0", nil)
	f("c3", true)
	f("05", int64(5))
	f("d0 05", int64(5))
	f("ff", int64(-1))
	f("cf 7fffffffffffffff", int64(9223372036854775807))
	f("cf 8000000000000000", uint64(9223372036854775808))
	f("ca 3f800000", 1.0)
	f("c4 02 00ff", "00ff")
	f("92 a161 81 a162 90", []any{"a", map[string]any{"b": []any{}}})
	f("d6 ff 00000001", "1970-01-01T00:00:01Z")
	f("d7 ff 77359400 00000001", "1970-01-01T00:00:01.5Z")
	f("c7 0c ff 00000001 ffffffffffffffff", "1969-12-31T23:59:59.000000001Z")
}

func TestDecodeFactsRefuses(t *testing.T) {
	f := func(text string) {
		t.Helper()
		body := append(unhexed(t, "86 a176 01 a4686f7374 a168 a6706c7567696e a170 a474797065 a469 6e666f a174 01 a464617461 81 a178 91"), unhexed(t, text)...)
		_, _, err := DecodePluginData(body)
		if refused, ok := errors.AsType[*ControlError](err); !ok || refused.Code != ControlRange || refused.Path != "data.x[0]" {
			t.Errorf("%s: %v; want range at data.x[0]", text, err)
		}
	}
	f("c7 0c ff 00000000 7fffffffffffffff")
	f("c7 0c ff 3b9aca00 0000000000000000") // 10^9 ns
	f("d7 ff ffffffff 00000000")
}

// A text of a stranger's choice does not fill our log.
func TestErrorsClipForeignText(t *testing.T) {
	long := strings.Repeat("é", 10000)
	f := func(err error) {
		t.Helper()
		if err == nil || len(err.Error()) > 250 {
			t.Errorf("error of %d bytes: %.300v", len(err.Error()), err)
		}
	}
	_, _, err := DecodeHeartbeat([]byte(`{"stats":{"errors":{"` + long + `":-1}}}`))
	f(err)
	_, _, err = DecodeAck([]byte(`{"v":1,"srv":"h","seq":1,"state":"` + long + `"}`))
	f(err)
	_, _, err = DecodeCtlRequest([]byte(`{"id":"1","mode":"` + long + `"}`))
	f(err)
	_, _, err = DecodeHeartbeat([]byte(`{"load":{"a":` + strings.Repeat("9", 10000) + `}}`))
	f(err)
	_, _, err = DecodeHeartbeat([]byte(`{"inv":"` + strings.Repeat("g", 32) + `"}`))
	f(err)
}

func TestEncodeRefuses(t *testing.T) {
	f := func(v any, code ControlCode, path string) {
		t.Helper()
		for _, enc := range []Encoding{MsgPack, JSON} {
			_, err := EncodeControl(v, enc)
			if refused, ok := errors.AsType[*ControlError](err); !ok || refused.Code != code || refused.Path != path {
				t.Errorf("%v of %T: %v; want %s at %q", enc, v, err, code, path)
			}
		}
	}
	beat := fullBeat()
	beat.Host = ""
	f(beat, ControlRequired, "host")
	beat = fullBeat()
	beat.Seq = 0
	f(beat, ControlRange, "seq")
	beat = fullBeat()
	beat.Version = 2
	f(beat, ControlRange, "v")
	beat = fullHello()
	beat.Manifest.Schema = json.RawMessage("{")
	f(beat, ControlTruncated, "manifest.schema")
	beat.Manifest.Schema = json.RawMessage(`{"a" 1}`)
	f(beat, ControlSyntax, "manifest.schema")
	beat.Manifest.Schema = json.RawMessage("[]")
	f(beat, ControlType, "manifest.schema")
	beat = fullHello()
	beat.Manifest.Catalog = append(beat.Manifest.Catalog, Desc{})
	f(beat, ControlRequired, "manifest.catalog[1].series")
	beat = fullBeat()
	beat.Load["load1"] = math.NaN()
	f(beat, ControlNaN, "load.load1")
	beat = fullBeat()
	beat.IntervalMS = MaxIntervalMS + 1
	f(beat, ControlRange, "int_ms")
	beat = fullBeat()
	beat.State = "Running"
	f(beat, ControlRange, "state")
	f(Ack{Version: 1, Server: "h", State: Accepted, NextMS: -1}, ControlRange, "next_ms")
	f(Ack{Version: 1, Server: "h", State: Accepted, Work: &Work{Config: json.RawMessage("{}"), Parallel: 5000}}, ControlRange, "parallel")
	f(Ack{Version: 1, Server: "h", State: "maybe"}, ControlRange, "state")
	f(CtlRequest{ID: "1", MaxAgeMS: -1}, ControlRange, "max_age_ms")
	f(Ack{Version: 1, Server: "h", State: Accepted, Work: &Work{}}, ControlRequired, "config")
	f(CtlRequest{}, ControlRequired, "id")
	f(CtlReply{ID: "1", Payload: Raw{0xc1}}, ControlSyntax, "payload")
	f(LogRecord{Level: "info", Message: strings.Repeat("x", 20000)}, ControlLimit, "")
	f(LogRecord{Level: "info", Attrs: map[string]any{"f": func() {}}}, ControlType, "attrs")
	f(PluginData{Version: 1, Host: "h", Plugin: "p", Type: DataInfo}, ControlRequired, "data")
	f("text", ControlType, "")
}

// What the system or a sink says in an error is not always UTF-8; the beat that tells of it goes out all the same.
func TestEncodeCleansText(t *testing.T) {
	beat := fullBeat()
	beat.Error.Message = "caf\xe9 \xff"
	for _, enc := range []Encoding{MsgPack, JSON} {
		b, err := EncodeControl(beat, enc)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := DecodeHeartbeat(b)
		if want := "caf\uFFFD \uFFFD"; err != nil || got.Error.Message != want {
			t.Errorf("%v: %q, %v; want %q", enc, got.Error.Message, err, want)
		}
	}
}

func TestBeatSizes(t *testing.T) {
	f := func(h Heartbeat, limit int) {
		t.Helper()
		for _, enc := range []Encoding{MsgPack, JSON} {
			b, err := EncodeControl(h, enc)
			if err != nil || len(b) > limit {
				t.Errorf("%v: %d bytes, %v; want %d at most", enc, len(b), err, limit)
			}
		}
	}
	f(fullBeat(), 1024)

	// The hello of an agent with a thousand plugins: manifest, info and status of each.
	hello := fullHello()
	for i := range 3000 {
		hello.Inventory = append(hello.Inventory, InventoryItem{Plugin: "plugin-" + string(rune('a'+i%26)), Type: DataManifest, Version: "1.4.0", Digest: Digest{byte(i)}})
	}
	if b, err := EncodeControl(hello, MsgPack); err != nil || len(b) > 256<<10 {
		t.Errorf("hello: %d bytes, %v", len(b), err)
	}
}
