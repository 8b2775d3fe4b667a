package telemetry

import "testing"

func TestFactsEncodeIsCanonical(t *testing.T) {
	type disk struct {
		Name string `json:"name"`
		Size int    `json:"size,omitempty"`
	}
	f := func(facts Facts, wantJSON, wantPacked string) {
		t.Helper()
		text, err := facts.Encode(JSON)
		if err != nil || string(text) != wantJSON {
			t.Errorf("%v = %s, %v; want %s", facts, text, err, wantJSON)
		}
		packed, err := facts.Encode(MsgPack)
		if err != nil || string(packed) != string(unhexed(t, wantPacked)) {
			t.Errorf("%v = %x, %v; want %s", facts, packed, err, wantPacked)
		}
	}
	f(nil, `{}`, "80")
	f(Facts{"b": 1, "a": uint8(2), "c": int64(-1)}, `{"a":2,"b":1,"c":-1}`, "83 a161 02 a162 01 a163 ff")
	f(Facts{"b": map[string]int{"z": 1, "y": 2}}, `{"b":{"y":2,"z":1}}`, "81 a162 82 a179 02 a17a 01")
	f(Facts{"d": []disk{{"sda", 5}, {Name: "sdb"}}}, `{"d":[{"name":"sda","size":5},{"name":"sdb"}]}`,
		"81 a164 92 82 a46e616d65 a3736461 a473697a65 05 81 a46e616d65 a3736462")
	f(Facts{"digest": Digest{}}, `{"digest":"00000000000000000000000000000000"}`, "81 a6646967657374 d920 30*32")
}
