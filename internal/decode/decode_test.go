package decode

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

var noon = time.Unix(1700000000, 0)

// points decodes a text and returns its points as line protocol.
func points(t *testing.T, d Decoder, text string) (string, report.Report) {
	t.Helper()
	var b telemetry.Batch
	r := d.Decode(&b, []byte(text), noon)
	if n := b.Drops().Total(); n > 0 {
		t.Errorf("the batch counts %d drops: they belong to the report", n)
	}
	if b.Len() != r.Points {
		t.Errorf("%d points in the batch, %d in the report", b.Len(), r.Points)
	}
	lines := strings.SplitAfter(string(b.AppendLines(nil)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, ""), r
}

func TestInflux(t *testing.T) {
	d, err := New("influx", Options{Precision: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	got, r := points(t, d, "a x=1i 1\nbad\n# comment\nb,t=u x=NaN,y=2\nc x=inf\n")
	if want := "a x=1i 1000000000\nb,t=u y=2 1700000000000000000\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if want := map[string]int{report.Syntax: 1, report.NotFinite: 2, report.NoFields: 1}; !maps.Equal(r.Bad, want) {
		t.Errorf("%v, want %v", r.Bad, want)
	}
	if r.First == nil || !strings.Contains(r.First.Error(), "line 2") {
		t.Errorf("%v", r.First)
	}
}

func TestNewKnowsNoOther(t *testing.T) {
	if d, err := New("yaml", Options{}); err == nil || !strings.Contains(err.Error(), `"yaml": want influx`) {
		t.Errorf("%v, %v", d, err)
	}
}
