package collectd

import (
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// Whatever a program prints, the points made of it can be sent, and what is bad is counted.
func FuzzDecode(f *testing.F) {
	o := options(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		var b, back telemetry.Batch
		r := Decode(&b, text, noon, o)
		if b.Len() != r.Points || b.Drops().Total() > 0 || (r.Total() > 0) != (r.First != nil) {
			t.Fatalf("%d points, %v, %+v", b.Len(), b.Drops(), r)
		}
		if b.Len() > 0 && b.Len() < 100 {
			if err := back.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil || back.Len() != b.Len() {
				t.Fatalf("%v: %d points of %d", err, back.Len(), b.Len())
			}
		}
	})
}

// Whatever a types.db says, the names in it are names.
func FuzzTypes(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		types := Types{}
		err := types.Parse(text)
		for name, sources := range types {
			if name == "" || len(sources) == 0 {
				t.Fatalf("%q: %v, %v", name, sources, err)
			}
		}
	})
}
