package telemetry

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestDigestText(t *testing.T) {
	d := DigestOf([]byte("abc"))
	if want := "ba7816bf8f01cfea414140de5dae2223"; d.String() != want {
		t.Errorf("digest of abc = %s; want %s", d, want)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var got Digest
	if err := json.Unmarshal(b, &got); err != nil || got != d {
		t.Errorf("%s comes back as %s, %v", b, got, err)
	}
	if err := got.UnmarshalText(nil); err != nil || !got.IsZero() {
		t.Errorf("no text = %s, %v; want zero", got, err)
	}
	for _, text := range []string{"00", "ba7816bf8f01cfea414140de5dae222g", "ba7816bf8f01cfea414140de5dae222300"} {
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as a digest", text)
		}
	}
}

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

func TestInventoryDigest(t *testing.T) {
	items := fullHello().Inventory
	got := InventoryDigest(items)
	slices.Reverse(items)
	if again := InventoryDigest(items); again != got {
		t.Errorf("digest depends on order: %s, then %s", got, again)
	}
	if items[0].Type != DataInfo {
		t.Error("InventoryDigest sorted the caller's list")
	}
	one := []InventoryItem{{Plugin: "os", Type: DataInfo, Version: "1", Config: Digest{1}, Digest: Digest{2}}}
	raw := append([]byte("os\x00info\x001\x00"), make([]byte, 32)...)
	raw[len(raw)-32], raw[len(raw)-16] = 1, 2
	if got, want := InventoryDigest(one), DigestOf(raw); got != want {
		t.Errorf("digest of one item = %s; want %s", got, want)
	}
	if got, want := InventoryDigest(nil), DigestOf(nil); got != want {
		t.Errorf("digest of no items = %s; want %s", got, want)
	}
}
