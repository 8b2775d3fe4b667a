package host

import "testing"

func TestParsePressure(t *testing.T) {
	var got []stall
	err := parsePressure([]byte("some avg10=0.50 avg60=1.25 avg300=100.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
		func(s stall) { got = append(got, s) })
	if err != nil || len(got) != 2 || got[0] != (stall{"some", [3]float64{0.5, 1.25, 100}, 42}) || got[1] != (stall{kind: "full"}) {
		t.Errorf("pressure = %v, %v", got, err)
	}
	f := func(text, want string) {
		t.Helper()
		if err := parsePressure([]byte(text), func(stall) {}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	f("\n", `line 1: want some or full, got ""`)
	f("most avg10=0", `line 1: want some or full, got "most"`)
	f("some avg10=0.1 avg60=x", `line 1: avg60= want a number, got "x"`)
	f("some avg10=0 avg60=0 avg300=0 total=0\nfull avg10=0 avg60=0 avg300=0", `line 2: total= want a number, got ""`)
}

func FuzzPressure(f *testing.F) {
	seeds(f, "*/proc/pressure/*", "some avg10=1e9 2 3 4")
	f.Fuzz(func(t *testing.T, text []byte) {
		checkPlaced(t, parsePressure(text, func(s stall) {
			if s.kind != "some" && s.kind != "full" {
				t.Errorf("kind %q", s.kind)
			}
		}))
	})
}
