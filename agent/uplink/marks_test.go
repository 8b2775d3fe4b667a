package uplink

import "testing"

// A place is found by the latest mark that is not behind it, and however many there are, few are kept.
func TestMarks(t *testing.T) {
	var m marks
	f := func(floor uint64, ok bool, seq, after uint64) {
		t.Helper()
		if k, is := m.upTo(floor); is != ok || k.seq != seq || k.after != after {
			t.Errorf("up to %d: %+v, %v; want %d, %d, %v", floor, k, is, seq, after, ok)
		}
	}
	f(9, false, 0, 0)
	for seq := uint64(10); seq <= 30; seq += 10 {
		m.add(mark{seq, seq / 10})
	}
	f(9, false, 0, 0)
	f(25, true, 20, 2)
	f(25, false, 0, 0)
	f(30, true, 30, 3)
	for seq := uint64(31); seq < 10_000; seq++ {
		m.add(mark{seq, seq})
	}
	if len(m) > mostMarks {
		t.Errorf("%d marks", len(m))
	}
	k, ok := m.upTo(9_000)
	if !ok || k.seq > 9_000 || k.seq != k.after || k.seq < 5_000 {
		t.Errorf("%+v, %v", k, ok)
	}
	f(1<<60, true, 9_999, 9_999)
}
