package telemetry

import "testing"

func TestPluginDataBytes(t *testing.T) {
	d := PluginData{Version: 1, Host: "h", Plugin: "p", Type: DataInfo, Time: 1, Data: Facts{"b": "x", "a": []any{int64(1), nil}}}
	for _, enc := range []Encoding{MsgPack, JSON} {
		parts, err := d.Split(enc)
		if err != nil || len(parts) != 1 {
			t.Fatal(parts, err)
		}
		body, err := EncodeControl(parts[0], enc)
		if err != nil {
			t.Fatal(err)
		}
		data, err := PluginDataBytes(body)
		if err != nil || DigestOf(data) != parts[0].Digest {
			t.Errorf("encoding %v: %q, %v", enc, data, err)
		}
	}
	f := func(body string, want string, ok bool) {
		t.Helper()
		if data, err := PluginDataBytes([]byte(body)); string(data) != want || (err == nil) != ok {
			t.Errorf("%q: %q, %v", body, data, err)
		}
	}
	f(`{"v":1,"data": {"b":1, "a":2} }`, `{"b":1, "a":2}`, true)
	f(`{"v":1}`, "", true)
	f(`{"v":1`, "", false)
	f("\x81\xa4data\x81\xa1a\x01", "\x81\xa1a\x01", true)
	f("\x81\xa1v\x01", "", true)
	f("\x81\xa1v", "", false)
	f("", "", false)
}
