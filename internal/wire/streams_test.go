package wire

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
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

const streams = schemas + "/testdata/stream/"

// A streamMessage is a golden message of a stream, and what a reader makes of it.
type streamMessage struct {
	Name, Kind string
	Code       string // why it is refused; "": it is not

	Subject string
	Headers map[string]string
	Stored  time.Time
	Body    string
	BodyHex string `json:"body_hex"`
	Reads   struct {
		Host, Plugin, Type, ID string
		Stored                 time.Time
		Points                 json.RawMessage
		Drops                  map[string]int // what is left out, by code
	}
}

// streamMessages returns the golden messages of one folder.
func streamMessages(t testing.TB, folder string) (all []streamMessage) {
	t.Helper()
	var list map[string][]struct{ Name, Kind, Code string }
	if err := json.Unmarshal(read(t, streams+"cases.json"), &list); err != nil {
		t.Fatal(err)
	}
	for _, c := range list[folder] {
		m := streamMessage{Name: c.Name, Kind: c.Kind, Code: c.Code}
		if err := json.Unmarshal(read(t, streams+folder+"/"+c.Name+".json"), &m); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		all = append(all, m)
	}
	return all
}

func (m streamMessage) body(t testing.TB) []byte {
	t.Helper()
	if m.BodyHex == "" {
		return []byte(m.Body)
	}
	body, err := hex.DecodeString(m.BodyHex)
	if err != nil {
		t.Fatalf("%s: %v", m.Name, err)
	}
	return body
}

// read makes of m what the page says: the subject tells who it is from, and of a letter that is given again the headers tell that.
func (m streamMessage) read(t testing.TB) (from bus.Subject, b telemetry.Batch, err error) {
	t.Helper()
	subject, stored := m.Subject, m.Stored
	if m.Kind == "again" {
		subject = m.Headers[bus.HeaderSubject]
		if stored, err = time.Parse(time.RFC3339Nano, m.Headers[bus.HeaderStored]); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
	}
	if from, err = bus.ParseSubject(subject); err != nil {
		return from, b, err
	}
	err = b.Decode(m.Headers["Content-Type"], m.Headers["Content-Encoding"], m.body(t), stored)
	b.DefaultTag("host", from.Host)
	return from, b, err
}

// points writes b as point objects, sorted.
func points(t testing.TB, b *telemetry.Batch) (all []string) {
	t.Helper()
	for p := range b.Points() {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	slices.Sort(all)
	return all
}

func TestGoldenStreamMessages(t *testing.T) {
	for _, m := range streamMessages(t, "valid") {
		if m.Kind == "letter" {
			continue // nobody reads what its body holds
		}
		from, got, err := m.read(t)
		if err != nil || from.Host != m.Reads.Host || from.Plugin != m.Reads.Plugin || from.Verb != m.Reads.Type {
			t.Errorf("%s: %+v, %v", m.Name, from, err)
			continue
		}
		var want telemetry.Batch
		if err := want.DecodeJSON(m.Reads.Points, time.Time{}); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if got, want := points(t, &got), points(t, &want); !slices.Equal(got, want) {
			t.Errorf("%s is read as\n%s\nwant\n%s", m.Name, got, want)
		}
		drops := map[string]int{}
		got.Drops().Each(func(c telemetry.Code, n int) { drops[c.String()] = n })
		if !maps.Equal(drops, m.Reads.Drops) {
			t.Errorf("%s leaves out %v, want %v", m.Name, drops, m.Reads.Drops)
		}
	}
}

func TestGoldenStreamRefusals(t *testing.T) {
	all := streamMessages(t, "invalid")
	for _, m := range all {
		_, b, err := m.read(t)
		code := "subject"
		if refused, ok := errors.AsType[*telemetry.DecodeError](err); ok {
			code = refused.Code.String()
		}
		if err == nil || code != m.Code || b.Len() > 0 {
			t.Errorf("%s: %v, %d points; want %s", m.Name, err, b.Len(), m.Code)
		}
	}
	if len(all) < 10 {
		t.Errorf("only %d refusals were looked at", len(all))
	}
}

// The headers of dead letters are those that package bus writes, and the golden ones fit.
func TestLetterSchema(t *testing.T) {
	headers := []string{
		"Content-Encoding", "Content-Type", "Nats-Msg-Id", bus.HeaderDeliveries, bus.HeaderError, bus.HeaderLeftOut, bus.HeaderReason, bus.HeaderSourceID,
		bus.HeaderStored, bus.HeaderStreamSeq, bus.HeaderSubject,
	}
	slices.Sort(headers)
	said := at(t, "letter.json", "/$defs/letter").sub("properties", "")
	if got := slices.Sorted(maps.Keys(said.tree)); !slices.Equal(got, headers) {
		t.Errorf("the schema has %q, letters have %q", got, headers)
	}
	s, n := compile(t, "letter.json"), 0
	for _, m := range append(streamMessages(t, "valid"), streamMessages(t, "invalid")...) {
		if m.Kind != "letter" && m.Kind != "again" {
			continue
		}
		n++
		err := s.Validate(parse(t, []byte(show(m.Headers))))
		if fits := m.Name != "again-no-subject"; (err == nil) != fits {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	if n < 8 {
		t.Errorf("only %d letters were looked at", n)
	}
}

// Files that no case names are read by nobody.
func TestGoldenStreamMessagesListed(t *testing.T) {
	var listed []string
	for _, folder := range []string{"invalid", "valid"} {
		for _, m := range streamMessages(t, folder) {
			listed = append(listed, filepath.Join(folder, m.Name+".json"))
		}
	}
	slices.Sort(listed)
	files, err := filepath.Glob(streams + "*valid/*")
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i], _ = filepath.Rel(streams, files[i])
	}
	if slices.Sort(files); !slices.Equal(files, listed) {
		t.Errorf("there are\n%q, listed are\n%q", files, listed)
	}
}
