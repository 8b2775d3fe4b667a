package conform

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/schema"
	"github.com/pacewire/pacewire/telemetry"
)

// The same seed breaks a message in the same way, and each time in another.
func TestMutate(t *testing.T) {
	good := []byte(`{"id":"1","args":{"reason":"upgrade"}}`)
	run := func(seed uint64) (all [][]byte) {
		dice := rand.New(rand.NewPCG(seed, 0))
		for range 200 {
			all = append(all, mutate(dice, good))
		}
		return all
	}
	first := run(1)
	if !slices.EqualFunc(first, run(1), bytes.Equal) {
		t.Error("one seed, two rows of mutations")
	}
	if slices.EqualFunc(first, run(2), bytes.Equal) {
		t.Error("two seeds, one row of mutations")
	}
	seen := map[string]bool{}
	for _, m := range first {
		seen[string(m)] = true
	}
	if len(seen) < 150 {
		t.Errorf("%d of 200 differ", len(seen))
	}
	if string(good) != `{"id":"1","args":{"reason":"upgrade"}}` {
		t.Errorf("the good one is broken: %s", good)
	}
}

// All that is sent as broken is refused by our own reader: mutations, and golden messages.
func TestBroken(t *testing.T) {
	k := &kit{o: Options{Mutations: 5, Seed: 1}}
	isBroken := func(b []byte) bool { _, _, err := telemetry.DecodeAck(b); return err != nil }
	all, err := k.broken("ack", isBroken)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(all, func(b []byte) bool { return !isBroken(b) }) {
		t.Error("a good message is among them")
	}
	invalid, err := golden("control/invalid")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < len(invalid) || len(invalid) < 50 {
		t.Errorf("%d messages, %d of them golden", len(all), len(invalid))
	}
}

// Each golden batch that is invalid has a reason.
func TestCodesOf(t *testing.T) {
	codes, err := codesOf()
	if err != nil {
		t.Fatal(err)
	}
	files, err := golden("batch/invalid")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if codes[f.name] == "" {
			t.Errorf("%s has no code", f.name)
		}
	}
}

// Hostile settings are what a schema does not allow, and not too many.
func TestHostileConfigs(t *testing.T) {
	f := func(text string, least, most int) {
		t.Helper()
		all := hostileConfigs([]byte(text))
		if len(all) < least || len(all) > most {
			t.Errorf("%s: %d: %s", text, len(all), all)
		}
		s, err := schema.Parse([]byte(text))
		for _, c := range all {
			if err != nil || !json.Valid(c) || allowed(s, string(c)) {
				t.Errorf("%s: %s is allowed, or no JSON: %v", text, c, err)
			}
		}
	}
	f(`{"type":"object","properties":{"path":{"type":"string"}},"additionalProperties":false}`, 3, 4)
	f(`{"type":"object","properties":{"n":{"type":"integer","minimum":0}}}`, 2, 2)
	f(`{"type":"object"}`, 0, 0)
	f(`{`, 0, 0)
}

// An error is news if it is younger than the question.
func TestTold(t *testing.T) {
	now := time.Now()
	f := func(age int64, want bool) {
		t.Helper()
		b := beatAt(now.Add(time.Second), 1)
		b.Error = &telemetry.Fault{Code: "config_invalid", AgeMS: age}
		if told(b, now) != want {
			t.Errorf("an error %d ms old a second after: want %v", age, want)
		}
	}
	f(0, true)
	f(999, true)
	f(1500, false)
}

func TestTrueDigest(t *testing.T) {
	f := func(digest telemetry.Digest, want string) {
		t.Helper()
		d := telemetry.PluginData{Version: 1, Host: "h", Plugin: "p", Type: "info", Time: 1, Digest: digest, Data: telemetry.Facts{"a": 1}}
		body, err := telemetry.EncodeControl(d, telemetry.JSON)
		if err != nil {
			t.Fatal(err)
		}
		says(t, trueDigest(d, body), want)
	}
	f(telemetry.DigestOf([]byte(`{"a":1}`)), "")
	f(telemetry.DigestOf([]byte(`{"a": 1}`)), "the digest of its data is")
}
