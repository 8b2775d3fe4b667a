package munin

import (
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// Whatever a plugin prints, the points made of it can be sent, and what is bad is counted; the same again is no more.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte, rates bool) {
		p := New(Options{Plugin: "p", Rates: rates})
		for range 2 {
			var b, back telemetry.Batch
			r := p.Decode(&b, text, noon)
			if b.Len() != r.Points || b.Drops().Total() > 0 || (r.Total() > 0) != (r.First != nil) {
				t.Fatalf("%d points, %v, %+v", b.Len(), b.Drops(), r)
			}
			if b.Len() > 0 && b.Len() < 100 {
				if err := back.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil || back.Len() != b.Len() {
					t.Fatalf("%v: %d points of %d", err, back.Len(), b.Len())
				}
			}
		}
	})
}
