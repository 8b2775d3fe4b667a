package telemetry

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"
)

// What the library for Python writes is what we read. Its own tests hold the bytes against what it writes.
func TestGoldenFramesOfPython(t *testing.T) {
	text, err := os.ReadFile("../sdk/python/tests/testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name   string
		Points json.RawMessage
		Frames []string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var want Batch
		if err := want.DecodeJSON(c.Points, time.Unix(0, 0)); err != nil {
			t.Errorf("%s: points: %v", c.Name, err)
			continue
		}
		var got []string
		for _, frame := range c.Frames {
			body, err := hex.DecodeString(frame)
			if err != nil {
				t.Fatal(err)
			}
			var b Batch
			if err := b.DecodeMsgPack(body); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
			got = append(got, described(&b)...)
		}
		slices.Sort(got)
		if want := described(&want); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", c.Name, got, want)
		}
	}
}
