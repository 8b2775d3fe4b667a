package wire

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

const batches = schemas + "/testdata/batch/"

// readBatch is what a reader of a stream does with JSON; whole reports that it has left out nothing.
func readBatch(body []byte) (whole bool, err error) {
	var b telemetry.Batch
	err = b.Decode(string(telemetry.ContentJSON), "", body, time.Unix(1763559525, 0))
	return err == nil && b.Drops().Total() == 0, err
}

// batchFiles returns the golden batches in JSON: those that are read, and the code of each that is refused.
func batchFiles(t testing.TB) (valid []string, invalid map[string]string) {
	t.Helper()
	var list struct {
		Valid []struct {
			Name  string
			Forms []string
		}
		Invalid []struct{ File, Code string }
	}
	if err := json.Unmarshal(read(t, batches+"cases.json"), &list); err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Valid {
		valid = append(valid, "valid/"+c.Name+".points.json")
		if slices.Contains(c.Forms, "json") && c.Name != "lenient" { // which has what readers take besides
			valid = append(valid, "valid/"+c.Name+".json")
		}
	}
	invalid = map[string]string{}
	for _, c := range list.Invalid {
		if filepath.Ext(c.File) == ".json" {
			invalid["invalid/"+c.File] = c.Code
		}
	}
	return valid, invalid
}

func TestGoldenBatchesFit(t *testing.T) {
	s := compile(t, "batch.json")
	valid, _ := batchFiles(t)
	for _, name := range valid {
		if err := s.Validate(parse(t, read(t, batches+name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(valid) < 20 {
		t.Errorf("only %d golden batches were looked at", len(valid))
	}
}

// What is refused for its values does not fit the schema either, but for what no schema can see: whether two lengths agree, and 1.0 from 1.
func TestGoldenBatchesRefusedDoNotFit(t *testing.T) {
	unseen := []string{"column-missing", "column-short", "constant-cells", "point-key-twice", "point-field-twice", "point-same-line", "float-time"}
	s, n := compile(t, "batch.json"), 0
	_, invalid := batchFiles(t)
	for name, code := range invalid {
		seen := slices.Contains([]string{"version", "unit", "shape", "name", "limit", "tag_value"}, code)
		if !seen || slices.Contains(unseen, strings.TrimSuffix(filepath.Base(name), ".json")) {
			continue
		}
		n++
		if s.Validate(parse(t, read(t, batches+name))) == nil {
			t.Errorf("%s fits, but is refused with %s", name, code)
		}
	}
	if n < 15 {
		t.Errorf("only %d refusals were looked at", n)
	}
}

// What a reader takes as a whole fits the schema, and what it refuses does not, however a batch is changed. Between them are points
// that it leaves out.
func TestBatchSchemaAgreesWithReader(t *testing.T) {
	s, n := compile(t, "batch.json"), 0
	valid, _ := batchFiles(t)
	for _, name := range valid {
		v := parse(t, read(t, batches+name))
		variants(v, func(what string) {
			n++
			fits := s.Validate(v)
			whole, err := readBatch([]byte(show(v)))
			if whole && fits != nil || err != nil && fits == nil && !compared(err) {
				t.Errorf("%s%s:\nschema: %v\nreader: %v", name, what, fits, err)
			}
		})
	}
	t.Logf("%d variants", n)
}

// compared reports whether a batch is refused for what no schema can see: one part does not go with another, such as a column that
// has not as many values as there are points.
func compared(err error) bool {
	return strings.Contains(err.Error(), " each ") || strings.Contains(err.Error(), "dictionary")
}
