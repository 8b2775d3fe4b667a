package telemetry

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const goldenBatches = "../schemas/testdata/batch"

// batchCases is cases.json of the golden batches.
type batchCases struct {
	Valid []struct {
		Name  string
		Forms []string
		Drops map[string]int
	}
	Invalid []struct{ File, Code string }
}

func readBatchCases(tb testing.TB) (c batchCases) {
	tb.Helper()
	if err := json.Unmarshal(goldenBatch(tb, "cases.json"), &c); err != nil {
		tb.Fatal(err)
	}
	return c
}

func goldenBatch(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(goldenBatches, name))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// dropped returns what b left out, by the names of the codes.
func dropped(b *Batch) map[string]int {
	drops := map[string]int{}
	b.Drops().Each(func(c Code, n int) { drops[c.String()] = n })
	return drops
}

var contentOfForm = map[string]string{".msgpack": "application/x-pacewire+msgpack", ".json": "application/json"}

func TestGoldenBatches(t *testing.T) {
	arrival := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range readBatchCases(t).Valid {
		var want Batch
		if err := want.DecodeJSON(goldenBatch(t, "valid/"+c.Name+".points.json"), arrival); err != nil {
			t.Errorf("%s.points.json: %v", c.Name, err)
			continue
		}
		for _, form := range c.Forms {
			file := c.Name + "." + form
			body := goldenBatch(t, "valid/"+file)
			for _, header := range []string{contentOfForm["."+form], ""} {
				var got Batch
				if err := got.Decode(header, "", body, arrival); err != nil {
					t.Errorf("%s as %q: %v", file, header, err)
					continue
				}
				drops := dropped(&got)
				delete(drops, "time_skew")
				if !slices.Equal(described(&got), described(&want)) || !maps.Equal(drops, c.Drops) {
					t.Errorf("%s as %q:\n got %q, drops %v\nwant %q, drops %v", file, header, described(&got), drops, described(&want), c.Drops)
				}
			}
		}
	}
}

func TestGoldenBatchesRefused(t *testing.T) {
	for _, c := range readBatchCases(t).Invalid {
		var b Batch
		err := b.Decode(contentOfForm[filepath.Ext(c.File)], "", goldenBatch(t, "invalid/"+c.File), time.Now())
		var why Code
		if !errors.As(err, &why) || why.String() != c.Code || b.Len() != 0 {
			t.Errorf("%s: %v, %d points; want %s", c.File, err, b.Len(), c.Code)
		}
	}
}

// TestGoldenBatchesListed finds files that no case reads.
func TestGoldenBatchesListed(t *testing.T) {
	listed := map[string]bool{}
	cases := readBatchCases(t)
	for _, c := range cases.Valid {
		listed["valid/"+c.Name+".points.json"] = true
		for _, form := range c.Forms {
			listed["valid/"+c.Name+"."+form] = true
		}
	}
	for _, c := range cases.Invalid {
		listed["invalid/"+c.File] = true
	}
	files, err := filepath.Glob(goldenBatches + "/*valid/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, _ := filepath.Rel(goldenBatches, file)
		if !listed[filepath.ToSlash(name)] {
			t.Errorf("%s is in no case", name)
		}
	}
	if len(files) != len(listed) {
		t.Errorf("%d files for %d listed", len(files), len(listed))
	}
}
