package telemetry

import (
	"slices"
	"testing"
	"time"
)

// tagged returns a batch that came over the wire: tags of the batch, and of the points, some of them empty.
func tagged(t *testing.T) *Batch {
	t.Helper()
	var made, in Batch
	g := made.Group("s", []string{"cpu", "host"}, []Field{{"x", TypeInt}})
	g.Row(time.Unix(1, 0), []string{"0", ""}, Int(1))
	g.Row(time.Unix(1, 0), []string{"", "a"}, Int(2))
	made.DefaultTag("host", "h")
	made.DefaultTag("site", "lab")
	if err := in.DecodeMsgPack(made.AppendMsgPack(nil)); err != nil {
		t.Fatal(err)
	}
	return &in
}

func TestTagKeys(t *testing.T) {
	for g := range tagged(t).Groups() {
		g.DefaultTag("rack", "7")
		keys := g.TagKeys([]string{"before"})
		slices.Sort(keys[1:])
		if want := []string{"before", "cpu", "host", "rack", "site"}; !slices.Equal(keys, want) {
			t.Errorf("keys = %q, want %q", keys, want)
		}
	}
}

func TestGroupDefaultTag(t *testing.T) {
	f := func(key, value string, want ...string) {
		t.Helper()
		b := tagged(t)
		for g := range b.Groups() {
			g.DefaultTag(key, value)
		}
		var again Batch
		if err := again.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for p := range again.Points() {
			got = append(got, p.Tags[key])
		}
		if !slices.Equal(got, want) {
			t.Errorf("DefaultTag(%q, %q): points say %q, want %q", key, value, got, want)
		}
	}
	f("new", "n", "n", "n")
	f("cpu", "all", "0", "all")
	f("host", "other", "h", "a")
	f("site", "other", "lab", "lab")
	f("cpu", "", "0", "")
}
