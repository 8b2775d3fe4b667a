package telemetry

import (
	"reflect"
	"testing"
	"time"
)

// TestRenameFieldOver renames a field to the name of another, in a group where points lack one or the other.
func TestRenameFieldOver(t *testing.T) {
	f := func(old, now []Value, want ...any) {
		t.Helper()
		var b Batch
		g := b.Group("s", nil, []Field{{"old", old[0].Type()}, {"now", now[0].Type()}})
		for row := range old {
			g.Row(time.Unix(int64(row), 0), nil, old[row], now[row])
		}
		g.RenameField("now", "old")
		var got []any
		for p := range b.Points() {
			if _, ok := p.Fields["now"]; ok || len(p.Fields) != 1 {
				t.Errorf("fields are %v", p.Fields)
			}
			got = append(got, p.Fields["old"])
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("old %v renamed over by %v = %v, want %v", old, now, got, want)
		}
	}
	f([]Value{Int(1), Int(2), {}}, []Value{Int(7), {}, Int(9)}, int64(7), int64(2), int64(9))
	f([]Value{String("a"), String("b")}, []Value{String("x"), {}}, "x", "b")
	f([]Value{Int(1), Int(2)}, []Value{Int(7), Int(8)}, int64(7), int64(8))
	f([]Value{Int(1), Int(2)}, []Value{Float(7), {}}, 7.0) // an integer column cannot take it in
}
